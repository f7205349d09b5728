"""Examples of the catalogue for the OpenAPI document: a small market that fits together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.entity import EntityKind
from domain.terms.feed_client import feed_client_id

EXAMPLE_ID: Mapping[EntityKind, str] = {
    "publisher": "01936f2a-5c1e-7cc3-98c4-dc0c0c07398f",
    "placement": "01936f2a-9b40-7d51-8a3e-5f0a1c2b3d4e",
    "bidder": "01936f2b-0c77-7b12-9c8d-1a2b3c4d5e6f",
    "currency_rate": "EUR-USD",
    "access_key": "01936f2d-0a11-7c44-8b55-6c7d8e9fa0b1",
    "advertiser": "01936f2c-1d88-7e23-8d9e-2b3c4d5e6f70",
    "campaign": "01936f2c-2e99-7f34-9eaf-3c4d5e6f7081",
    "ad": "01936f2c-3faa-7045-8fb0-4d5e6f708192",
    "feed_client": feed_client_id("winter-audiences"),
}

EXAMPLE_KEY = "gavel_4fVZ0yN3o7c1bJm5wqQh2sTtUuXx8Kd9EeRrLlPpGgA"

TERMS: Mapping[EntityKind, dict[str, Any]] = {
    "publisher": {
        "name": "Daily Example",
        "domain": "daily.example",
        "share_bps": 8500,
        "floor_rules": [{"floor_cpm": "0.80", "country": "DEU", "device_type": 2}],
    },
    "placement": {
        "publisher_id": EXAMPLE_ID["publisher"],
        "name": "Front page, top",
        "sizes": [[300, 250], [300, 600]],
        "floor_cpm": "0.50",
        "auction": "second_price",
        "floor_rules": [{"floor_cpm": "1.20", "country": "DEU", "size": [300, 600]}],
        "badv": ["casino.example"],
        "required_bid_fields": ["crid"],
        "house_ads": [
            {
                "width": 300,
                "height": 250,
                "image_url": "https://www.daily.example/subscribe-300x250.png",
                "landing_url": "https://www.daily.example/subscribe",
            }
        ],
    },
    "bidder": {
        "name": "Northwind DSP",
        "endpoint": "https://bid.northwind.example/openrtb2",
        "media_types": ["banner"],
        "countries": ["DEU", "FRA"],
        "qps_limit": 500,
        "timeout_ms": 120,
    },
    "deal": {
        "id": "daily-northwind-2026",
        "placement_ids": [EXAMPLE_ID["placement"]],
        "bidder_ids": [EXAMPLE_ID["bidder"]],
        "floor_cpm": "4.20",
        "auction": "fixed_price",
        "wadomain": ["shop.example"],
    },
    "currency_rate": {"base": "EUR", "quote": "USD", "rate": "1.0852"},
    "access_key": {"name": "Reporting of the Daily", "role": "publisher", "subject_id": EXAMPLE_ID["publisher"]},
    "advertiser": {"name": "Harbour Outfitters", "domain": "outfitters.example"},
    "campaign": {
        "advertiser_id": EXAMPLE_ID["advertiser"],
        "name": "Winter coats",
        "bid_cpm": "2.40",
        "budget": "5000.00",
        "daily_budget": "250.00",
        "currency": "USD",
        "starts_at": "2099-11-01T00:00:00Z",
        "ends_at": "2099-12-24T00:00:00Z",
        "pacing": "even",
        "frequency_cap": {"impressions": 3, "per_seconds": 86400},
        "targeting": {"countries": ["DEU", "FRA"], "device_types": [2, 4], "sites": ["daily.example"]},
    },
    "ad": {
        "campaign_id": EXAMPLE_ID["campaign"],
        "name": "Coats, medium rectangle",
        "width": 300,
        "height": 250,
        "image_url": "https://cdn.outfitters.example/coats-300x250.png",
        "landing_url": "https://www.outfitters.example/coats?click=${CLICK_ID}",
    },
    "feed_client": {"name": "winter-audiences", "ttl_seconds": 2592000, "allowed_shrinkage_percent": 20},
}

CHANGES: Mapping[EntityKind, dict[str, Any]] = {
    "publisher": {"share_bps": 8000},
    "placement": {"floor_cpm": "0.75", "badv": None},
    "bidder": {"qps_limit": None, "countries": ["DEU"]},
    "deal": {"floor_cpm": "4.50"},
    "advertiser": {"name": "Harbour Outfitters International"},
    "campaign": {"budget": "7500.00", "frequency_cap": None},
    "ad": {"name": "Coats, medium rectangle, blue"},
    "feed_client": {"allowed_shrinkage_percent": 10, "minimum_records": 1000},
}
