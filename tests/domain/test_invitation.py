"""Which bidders are asked for which imps, and why not for the others."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.trading import bidder, guests_of, imp, market, placement, request

HERE: dict[str, Any] = {"device": {"devicetype": 4, "geo": {"country": "DEU"}}}
BANNER = {"w": 300, "h": 250}
VIDEO = {"mimes": ["video/mp4"], "w": 640, "h": 360}


def blocked(why: str) -> tuple[int, str]:
    """The skip with the status for a request that was held back."""
    return 200, f"Not asked: {why}."


def reasons(terms: dict[str, Any], *imps: dict[str, Any], **members: Any) -> dict[str, tuple[int, str] | None]:
    """By imp, why a bidder with these terms is not asked for it; None: it is."""
    catalogue = market(bidders=[bidder(**terms)], placements=[placement("top"), placement("shut", paused=True)])
    [*invited], [*passed_over] = guests_of(request(*imps, **HERE | members), catalogue)
    assert len(invited) + len(passed_over) == 1
    if passed_over:
        return {imp_id: (skip.code, skip.reason) for imp_id, skip in passed_over[0].skips.items()}
    asked: dict[str, Any] = dict.fromkeys(invited[0].imp_ids)
    return asked | {imp_id: (skip.code, skip.reason) for imp_id, skip in invited[0].not_offered.items()}


@pytest.mark.parametrize(
    ("terms", "offered", "members", "expected"),
    [
        ({}, imp(), {}, None),
        ({"countries": ("DEU",)}, imp(), {}, None),
        ({"countries": ("USA",)}, imp(), {}, blocked("the bidder does not buy in DEU")),
        (
            {"countries": ("USA",)},
            imp(),
            {"device": {}},
            blocked("the bidder does not buy in an unknown country"),
        ),
        ({"device_types": (4, 5)}, imp(), {}, None),
        ({"device_types": (2,)}, imp(), {}, blocked("the bidder does not buy on devices of type 4")),
        (
            {"device_types": (2,)},
            imp(),
            {"device": {}},
            blocked("the bidder does not buy on unknown devices"),
        ),
        ({"placement_ids": ("top",)}, imp(tagid="top"), {}, None),
        ({"placement_ids": ("top",)}, imp(), {}, blocked("the bidder does not buy this placement")),
        ({"placement_ids": ("x",)}, imp(tagid="x"), {}, blocked("the bidder does not buy this placement")),
        ({"media_types": ("video",)}, imp(video=VIDEO), {}, None),
        ({"media_types": ("video",)}, imp(), {}, (202, "Not asked: the bidder buys video only.")),
        ({"sizes": ((300, 250),)}, imp(banner=BANNER), {}, None),
        (
            {"sizes": ((728, 90),)},
            imp(banner=BANNER),
            {},
            blocked("the bidder buys none of the banner's sizes"),
        ),
        ({"sizes": ((728, 90),)}, imp(), {}, None),
        (
            {"sizes": ((728, 90),)},
            imp(tagid="top"),
            {},
            blocked("the bidder buys none of the banner's sizes"),
        ),
        ({"sizes": ((728, 90),)}, imp(banner=BANNER, video=VIDEO), {}, None),
        (
            {"sizes": ((728, 90),), "media_types": ("banner",)},
            imp(banner=BANNER, video=VIDEO),
            {},
            blocked("the bidder buys none of the banner's sizes"),
        ),
        ({"sizes": ((728, 90),)}, imp(banner={"format": [{"wratio": 728, "hratio": 90}]}), {}, None),
        ({}, imp(tagid="shut"), {}, blocked("the placement, or its publisher, is paused")),
        ({"seats": ("s",)}, imp(), {"wseat": ["s"]}, None),
        (
            {"seats": ("s",)},
            imp(),
            {"wseat": ["t"]},
            blocked("none of the bidder's seats is allowed (wseat)"),
        ),
        ({"seats": ("s", "t")}, imp(), {"bseat": ["t"]}, None),
        (
            {"seats": ("t",)},
            imp(),
            {"bseat": ["t"]},
            blocked("all of the bidder's seats are blocked (bseat)"),
        ),
    ],
)
def test_the_reason(
    terms: dict[str, Any], offered: dict[str, Any], members: dict[str, Any], expected: tuple[int, str] | None
) -> None:
    """Each kind of targeting, met and not met."""
    assert reasons(terms, offered, **members) == {"1": expected}


def test_a_bidder_is_asked_for_the_imps_that_it_buys() -> None:
    """What it does not buy it is not told of, imp by imp and each with its own reason."""
    told = reasons(
        {"media_types": ("banner",), "sizes": ((300, 250),)},
        imp(id="a", banner=BANNER),
        imp(id="b", banner={"w": 728, "h": 90}),
        imp(id="c", tagid="shut"),
        {"id": "d", "video": VIDEO},
    )
    assert {imp_id: None if skip is None else skip[0] for imp_id, skip in told.items()} == {
        "a": None,
        "b": 200,
        "c": 200,
        "d": 202,
    }


def test_a_robot_is_nobody_s_guest() -> None:
    """All bidders are passed over for the same reason, which is the no-bid reason of the specification."""
    catalogue = market(bidders=[bidder("alfa"), bidder("bravo", countries=("USA",))])
    guests = guests_of(request(imp(id="a"), imp(id="b")), catalogue, is_robot=True)
    assert guests.invitations == []
    codes = {(each.bidder.id, imp_id): skip.code for each in guests.passed_over for imp_id, skip in each.skips.items()}
    assert codes == {("alfa", "a"): 3, ("alfa", "b"): 3, ("bravo", "a"): 3, ("bravo", "b"): 3}


def test_bidders_that_are_told_the_same_share_a_template() -> None:
    """It is written once, however many are asked."""
    catalogue = market(bidders=[bidder("alfa"), bidder("bravo", media_types=("banner",)), bidder("charlie")])
    templates = [each.template for each in guests_of(request(), catalogue).invitations]
    assert len(templates) == 3
    assert len({id(template) for template in templates}) == 1
