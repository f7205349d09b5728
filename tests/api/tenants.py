"""Two publishers and two advertisers with what is theirs, and a key for each: what one must not see of the other."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.api.running_api import RunningApi
from tests.api.test_catalogue import Answer, ask, registered


class Key(NamedTuple):
    """An access key that was issued."""

    id: str
    secret: str
    subject_id: str | None = None


class Seller(NamedTuple):
    """A publisher, its placement, its key."""

    publisher: dict[str, Any]
    placement: dict[str, Any]
    key: Key


class Buyer(NamedTuple):
    """An advertiser, its campaign and ad, its key."""

    advertiser: dict[str, Any]
    campaign: dict[str, Any]
    ad: dict[str, Any]
    key: Key


async def as_holder(api: RunningApi, key: Key, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """What the holder of the key is answered."""
    return await ask(api, method, path, body, Authorization=f"Bearer {key.secret}", **headers)


async def issued(api: RunningApi, role: str, subject_id: str | None = None) -> Key:
    """A fresh key of the role."""
    subject = {} if subject_id is None else {"subject_id": subject_id}
    answer = await registered(api, "access-keys", {"name": f"A key of the {role}", "role": role, **subject})
    return Key(answer["id"], answer["key"], subject_id)


async def seller(api: RunningApi, name: str) -> Seller:
    """A publisher that sells one placement."""
    terms = {"name": name, "domain": f"{name.lower()}.example", "share_bps": 8_000}
    publisher = await registered(api, "publishers", terms)
    placement = await registered(
        api, "placements", {"publisher_id": publisher["id"], "name": f"{name}, top", "sizes": [[300, 250]]}
    )
    return Seller(publisher, placement, await issued(api, "publisher", publisher["id"]))


async def buyer(api: RunningApi, name: str) -> Buyer:
    """An advertiser with one campaign that has one ad; it is paused, so that it takes no part in others' auctions."""
    site = f"{name.lower()}.example"
    advertiser = await registered(api, "advertisers", {"name": name, "domain": site})
    running = await registered(api, "campaigns", campaign_terms(advertiser["id"]))
    campaign = (await ask(api, "POST", f"/v1/campaigns/{running['id']}/pause")).body
    ad = await registered(api, "ads", ad_terms(campaign["id"], site))
    return Buyer(advertiser, campaign, ad, await issued(api, "advertiser", advertiser["id"]))


def campaign_terms(advertiser_id: str) -> dict[str, Any]:
    return {"advertiser_id": advertiser_id, "name": "Coats", "bid_cpm": "2.00", "budget": "10.00"}


def ad_terms(campaign_id: str, site: str = "shop.example") -> dict[str, Any]:
    return {
        "campaign_id": campaign_id,
        "name": "Coats, wide",
        "width": 300,
        "height": 250,
        "html": "<p>Coats</p>",
        "landing_url": f"https://{site}/coats",
    }
