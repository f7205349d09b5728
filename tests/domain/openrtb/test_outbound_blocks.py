"""What bidders are told of the block lists of placements."""

from __future__ import annotations

from typing import Any

import pytest

from domain.catalogue import Deal
from tests.domain.trading import bidder, imp, market, placement, request, told

TOP = placement("top", badv=("rival.example", "one.example"), bcat=("7",), cattax=6, bapp=("com.bad",), battr=(6, 1))
SIDE = placement("side", badv=("rival.example", "two.example"), bcat=("7", "8"), cattax=6)


def told_of(*imps: dict[str, Any], **members: Any) -> dict[str, Any]:
    """What a bidder is told beside the imps' own members."""
    return told(request(*imps, **members), market(bidders=[bidder("alfa")], placements=[TOP, SIDE]))["alfa"]


@pytest.mark.parametrize(
    ("imps", "members", "expected"),
    [
        (["top"], {"cattax": 6}, {"badv": ["rival.example", "one.example"], "bcat": ["7"], "bapp": ["com.bad"]}),
        (["top"], {"badv": ["one.example"]}, {"badv": ["one.example", "rival.example"], "bapp": ["com.bad"]}),
        (["top", "side"], {"cattax": 6}, {"badv": ["rival.example"], "bcat": ["7"]}),
        (["top", "elsewhere"], {"badv": ["zero.example"]}, {"badv": ["zero.example"]}),
        (["side"], {}, {"badv": ["rival.example", "two.example"]}),
        (["side"], {"cattax": 6, "acat": ["9"]}, {"badv": ["rival.example", "two.example"]}),
    ],
    ids=[
        "all of one placement",
        "beside the request's own",
        "what both placements block",
        "not for an imp that is no placement's",
        "no categories of another taxonomy",
        "no blocked categories beside allowed ones",
    ],
)
def test_lists(imps: list[str], members: dict[str, Any], expected: dict[str, Any]) -> None:
    """The request's lists get what the placements of all its imps block."""
    request_told = told_of(*(imp(id=tagid, tagid=tagid) for tagid in imps), **members)
    assert {name: request_told[name] for name in ("badv", "bcat", "bapp") if name in request_told} == expected


def test_attributes() -> None:
    """Every media object of the imp gets what its placement blocks, and keeps the rest, sizes too."""
    offered = imp(tagid="top", banner={"battr": [3, 1], "zz": 1}, video={"mimes": ["video/mp4"]})
    [told_imp] = told_of(offered)["imp"]
    assert told_imp["banner"] == {"battr": [3, 1, 6], "zz": 1, "format": [{"w": 300, "h": 250}]}
    assert told_imp["video"] == {"mimes": ["video/mp4"], "battr": [6, 1]}


@pytest.mark.parametrize(
    ("kind", "members", "expected"),
    [("first_price", {}, 1), ("second_price", {}, None), ("first_price", {"at": 2}, 2), ("second_price", {"at": 1}, 1)],
)
def test_the_auction_type(kind: str, members: dict[str, Any], expected: int | None) -> None:
    """A bidder need not take a first price for the specification's default."""
    catalogue = market(bidders=[bidder("alfa")], placements=[placement("top", auction=kind)])
    assert told(request(imp(tagid="top"), **members), catalogue)["alfa"].get("at") == expected


def test_no_marketplace_is_made_up() -> None:
    """A bidder that may use no registered deal is told of no private marketplace that the publisher did not name."""
    catalogue = market(bidders=[bidder("alfa"), bidder("bravo")], deals={"d": Deal(bidder_ids=("alfa",))})
    for_each = told(request(), catalogue)
    assert ["pmp" in for_each[name]["imp"][0] for name in ("alfa", "bravo")] == [True, False]
