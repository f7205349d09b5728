"""The OpenRTB 2.6 requests that simulated publishers send: the same seed gives the same requests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from gavel.simulate.chance import chance
from gavel.simulate.example_catalogue import NOTHING_STORED, PREMIUM_DEAL, Stored
from gavel.simulate.inventory import PROPERTIES, ROBOT_USER_AGENTS, Property, Size, Viewer, viewer_at

SEVERAL_IMPS_SHARE = 0.18
TEST_SHARE = 0.005
ROBOT_SHARE = 0.01
"""Requests made for a known crawler: the exchange offers them to nobody."""
DEAL_SHARE = 0.08
FIRST_PRICE_SHARE = 0.3
LIMITED_TRACKING_SHARE = 0.12
NO_CONSENT_SHARE = 0.1
CONSENT = "CQbOE4AQbOE4AAKABBEDB4FoAP_AAP_AAAYgAAAAAAAA"
"""A consent string (TCF v2) that allows purposes 1 to 10 and precise geolocation."""


class SimulatedRequest(NamedTuple):
    """One bid request and what the simulators need to know about it."""

    id: str
    body: bytes
    imps: int
    test: bool
    viewer: Viewer


def bid_requests(seed: int, stored: Stored = NOTHING_STORED) -> Iterator[SimulatedRequest]:
    """Requests without end; what the exchange has stored is named by the ids that it gave."""
    rng = chance(seed, "publishers")
    property_weights = [each.weight for each in PROPERTIES]
    number = 0
    while True:
        number += 1
        (sold_by,) = rng.choices(PROPERTIES, property_weights)
        yield _request(f"{seed}-{number}", sold_by, viewer_at(rng.random()), stored, rng)


def _request(
    request_id: str, sold_by: Property, viewer: Viewer, stored: Stored, rng: random.Random
) -> SimulatedRequest:
    imps = rng.choice((2, 2, 3)) if rng.random() < SEVERAL_IMPS_SHARE else 1
    test = rng.random() < TEST_SHARE
    request: dict[str, Any] = {
        "id": request_id,
        "imp": [_imp(str(n + 1), sold_by, stored, rng) for n in range(imps)],
        "app" if sold_by.is_app else "site": _inventory(sold_by, stored, rng),
        "device": _device(viewer, rng),
        "user": {"id": f"viewer-{viewer.number}"},
        "tmax": rng.choice((120, 150, 200, 250)),
        "cur": ["USD"],
        "source": {"tid": f"{request_id}-tid"},
    }
    if rng.random() < FIRST_PRICE_SHARE:
        request["at"] = 1
    if test:
        request["test"] = 1
    if viewer.country.gdpr:
        request["regs"] = {"gdpr": 1}
        if rng.random() >= NO_CONSENT_SHARE:
            request["user"]["consent"] = CONSENT
    return SimulatedRequest(request_id, msgspec.json.encode(request), imps, test, viewer)


def _imp(imp_id: str, sold_by: Property, stored: Stored, rng: random.Random) -> dict[str, Any]:
    width, height = size = rng.choice(sold_by.sizes)
    floor_cents = sold_by.floor_cents * rng.choice((0, 1, 1, 1, 2))
    imp: dict[str, Any] = {
        "id": imp_id,
        "tagid": stored.tagid(sold_by, size),
        "banner": {"w": width, "h": height, "format": _formats(size, sold_by, rng), "pos": rng.choice((1, 3))},
        "bidfloor": floor_cents / 100,
        "bidfloorcur": "USD",
        "secure": 1,
        "exp": 300,
    }
    if rng.random() < DEAL_SHARE:
        deal = {"id": PREMIUM_DEAL, "bidfloor": (floor_cents + 150) / 100, "bidfloorcur": "USD", "at": 1}
        imp["pmp"] = {"private_auction": 0, "deals": [deal]}
    return imp


def _formats(size: Size, sold_by: Property, rng: random.Random) -> list[dict[str, int]]:
    sizes = {size, rng.choice(sold_by.sizes)}
    return [{"w": width, "h": height} for width, height in sorted(sizes)]


def _inventory(sold_by: Property, stored: Stored, rng: random.Random) -> dict[str, Any]:
    inventory: dict[str, Any] = {
        "id": sold_by.domain,
        "name": sold_by.name,
        "cat": [sold_by.category],
        "publisher": {"id": stored.publisher(sold_by), "name": sold_by.publisher},
    }
    if sold_by.is_app:
        return inventory | {"bundle": sold_by.domain, "ver": "3.2"}
    page = f"https://{sold_by.domain}/articles/{rng.randrange(5_000)}"
    return inventory | {"domain": sold_by.domain, "page": page}


def _device(viewer: Viewer, rng: random.Random) -> dict[str, Any]:
    country, device = viewer.country, viewer.device
    user_agent = rng.choice(ROBOT_USER_AGENTS) if rng.random() < ROBOT_SHARE else device.user_agent
    return {
        "ua": user_agent,
        "ip": viewer.ip,
        "devicetype": device.kind,
        "os": device.os,
        "language": country.language,
        "lmt": int(rng.random() < LIMITED_TRACKING_SHARE),
        "ifa": f"00000000-0000-4000-8000-{viewer.number:012x}",
        "geo": {
            "country": country.code,
            "city": country.city,
            "lat": country.latitude,
            "lon": country.longitude,
            "type": 2,
        },
    }
