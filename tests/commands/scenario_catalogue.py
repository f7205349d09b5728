"""The catalogue that a scenario states, as the entities that auctions find in Redis.

`publishers`, `placements`, `deals`, `advertisers`, `campaigns` and `ads` by id, `feed_clients` by name, their terms as
in `POST /v1/...`, with a `status` where they are not active; `rates` by pair: `{"EUR/USD": "1.25"}`. What a scenario
does not care about has a default: a campaign is of the advertiser `shop`, whose domain is shop.example, and has one ad
of 300×250 that goes by the campaign's id with `-ad` behind it. A flight is stated from now on: `"+1h"` or `"-30m"`. A
bidder is named by its name, in its own list and in a deal's `bidder_ids`; all campaigns together are the bidder
`direct`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from domain.entity import Entity, EntityKind
from domain.terms.feed_client import feed_client_id
from domain.terms.kinds import all_forms

_FORMS = all_forms(allow_private=True)


class ScenarioCatalogue(msgspec.Struct, forbid_unknown_fields=True):
    publishers: dict[str, dict[str, Any]] = {}
    placements: dict[str, dict[str, Any]] = {}
    deals: dict[str, dict[str, Any]] = {}
    rates: dict[str, str] = {}
    advertisers: dict[str, dict[str, Any]] = {}
    campaigns: dict[str, dict[str, Any]] = {}
    ads: dict[str, dict[str, Any]] = {}
    feed_clients: dict[str, dict[str, Any]] = {}


def entities_of(catalogue: ScenarioCatalogue, bidder_ids: Mapping[str, str]) -> Iterator[Entity]:
    """Everything but the bidders themselves; `bidder_ids` is by name."""
    for publisher_id, terms in catalogue.publishers.items():
        default = {"name": publisher_id, "domain": "publisher.example", "share_bps": 8_000}
        yield entity_of("publisher", publisher_id, {**default, **terms})
    for placement_id, terms in catalogue.placements.items():
        yield entity_of("placement", placement_id, {"name": placement_id, "sizes": [[300, 250]], **terms})
    for deal_id, terms in catalogue.deals.items():
        named = [bidder_ids[name] for name in terms["bidder_ids"]]
        yield entity_of("deal", deal_id, {**terms, "bidder_ids": named})
    for pair, rate in catalogue.rates.items():
        base, quote = pair.split("/")
        yield entity_of("currency_rate", pair, {"base": base, "quote": quote, "rate": rate})
    for name, terms in catalogue.feed_clients.items():
        yield entity_of("feed_client", feed_client_id(name), {"name": name, **terms})
    yield from direct_entities_of(catalogue)


def direct_entities_of(catalogue: ScenarioCatalogue) -> Iterator[Entity]:
    """Advertisers, campaigns and ads."""
    if not catalogue.campaigns:
        return
    for advertiser_id, terms in {"shop": {}, **catalogue.advertisers}.items():
        default = {"name": advertiser_id, "domain": f"{advertiser_id}.example"}
        yield entity_of("advertiser", advertiser_id, {**default, **terms})
    ads = dict(catalogue.ads)
    for campaign_id, terms in catalogue.campaigns.items():
        default = {"advertiser_id": "shop", "name": campaign_id, "budget": "100.00", "pacing": "asap"}
        flight = {name: _from_now(terms[name]) for name in ("starts_at", "ends_at") if name in terms}
        yield entity_of("campaign", campaign_id, {**default, **terms, **flight})
        if all(ad["campaign_id"] != campaign_id for ad in ads.values()):
            ads[f"{campaign_id}-ad"] = {"campaign_id": campaign_id}
    for ad_id, terms in ads.items():
        looks = {} if "html" in terms else {"image_url": "https://cdn.example/ad.png"}
        default = {"name": ad_id, "width": 300, "height": 250, "landing_url": "https://shop.example/sale", **looks}
        yield entity_of("ad", ad_id, {**default, **terms})


def _from_now(stated: str) -> str:
    unit = {"h": "hours", "m": "minutes", "d": "days"}[stated[-1]]
    return (datetime.now(UTC) + timedelta(**{unit: int(stated[:-1])})).isoformat()


def entity_of(kind: EntityKind, entity_id: str, stated: Mapping[str, Any]) -> Entity:
    """The entity with these terms, checked as the API checks them."""
    terms = dict(stated)
    status = terms.pop("status", "active")
    registration = _FORMS[kind].registration(msgspec.json.encode(terms))
    return Entity(kind, entity_id, 1, status, msgspec.Raw(msgspec.json.encode(registration.terms)))
