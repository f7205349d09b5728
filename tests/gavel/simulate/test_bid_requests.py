"""The requests of simulated publishers."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import msgspec

from gavel.simulate.bid_requests import bid_requests
from gavel.simulate.example_catalogue import PREMIUM_DEAL


def test_the_same_seed_gives_the_same_requests() -> None:
    """Two runs of one seed send the same bytes; another seed sends others."""
    first, second, other = ([request.body for request in islice(bid_requests(seed), 200)] for seed in (7, 7, 8))
    assert first == second
    assert not set(first) & set(other)


def test_traffic_is_varied() -> None:
    """Sites and apps, one imp and several, deals, tests and first-price auctions all occur."""
    requests = [msgspec.json.decode(request.body) for request in islice(bid_requests(1), 2_000)]
    assert len({request["id"] for request in requests}) == 2_000
    assert {"site", "app"} == {kind for request in requests for kind in ("site", "app") if kind in request}
    assert {len(request["imp"]) for request in requests} == {1, 2, 3}
    assert any("pmp" in imp and imp["pmp"]["deals"][0]["id"] == PREMIUM_DEAL for r in requests for imp in r["imp"])
    assert {request.get("at") for request in requests} == {None, 1}
    assert 0 < sum(request.get("test", 0) for request in requests) < 40
    assert any("bot" in request["device"]["ua"].lower() for request in requests)


def test_viewers_are_skewed_but_none_is_a_flood() -> None:
    """The busiest tenth of the people makes most of the traffic, the busiest person less than one per cent."""
    seen = Counter(request.viewer.number for request in islice(bid_requests(3), 10_000))
    ordered = sorted(seen.values(), reverse=True)
    assert sum(ordered[: len(ordered) // 10]) > 3_000
    assert ordered[0] < 100
