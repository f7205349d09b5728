"""What a bid must reach: floors of the request, the placement, the publisher, by the ad, in any currency."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue import FloorRule, MediaType
from domain.floors import Floor, higher
from domain.sale import ImpOnSale
from tests.domain.trading import imp, market, placement, publisher, request, sold

VIDEO = {"mimes": ["video/mp4"]}
RATES = {"EUR/USD": "1.10"}
GERMAN_PHONE = {"device": {"devicetype": 4, "geo": {"country": "DEU"}}}


def rule(micros: int, **of: Any) -> FloorRule:
    return FloorRule(floor_micros=micros, **of)


def on_top(*, rules: tuple[FloorRule, ...] = (), of_publisher: tuple[FloorRule, ...] = (), **terms: Any) -> Any:
    """A catalogue with the one placement `top`."""
    return market(
        placements=[placement("top", floor_rules=rules, **terms)],
        publishers={"p": publisher(floor_rules=of_publisher)},
        rates=RATES,
    )


def on_a_german_phone(catalogue: Any, **members: Any) -> ImpOnSale:
    return sold(request(imp(tagid="top", **members), **GERMAN_PHONE), catalogue)


@pytest.mark.parametrize(
    ("imps", "placements", "expected", "whose"),
    [
        (0.5, 400_000, 500_000, "The imp's"),
        (0.5, 500_000, 500_000, "The imp's"),
        (0.5, 600_000, 600_000, "The placement's"),
        (0, 0, 0, "The imp's"),
    ],
)
def test_the_higher_of_imp_and_placement_counts(imps: float, placements: int, expected: int, whose: str) -> None:
    """Neither undercuts the other, and it can be told whose floor it was."""
    floor = on_a_german_phone(on_top(floor_micros=placements), bidfloor=imps).floor
    assert (floor.micros, floor.whose) == (expected, whose)


SIZES = ((300, 250), (728, 90), (1, 1))
exact_rules = st.lists(
    st.builds(
        FloorRule,
        floor_micros=st.integers(0, 3),
        country=st.sampled_from([None, "DEU", "USA"]),
        device_type=st.sampled_from([None, 4, 5]),
        size=st.sampled_from([None, (300, 250), (728, 90)]),
        media_type=st.sampled_from([None, "banner", "video"]),
    ),
    max_size=5,
)


A, B = 2_000_000, 3_000_000


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], 1_000_000),
        ([rule(A)], A),
        ([rule(300_000)], 300_000),
        ([rule(A), rule(B)], A),
        ([rule(A, country="DEU"), rule(B)], A),
        ([rule(B), rule(A, country="DEU")], A),
        ([rule(B, country="USA"), rule(A)], A),
        ([rule(B, device_type=5)], 1_000_000),
        ([rule(B, device_type=4), rule(A, country="DEU")], A),
        ([rule(B, size=(300, 250)), rule(A, device_type=4)], A),
        ([rule(B, media_type="banner"), rule(A, size=(300, 250))], A),
        ([rule(B, country="DEU"), rule(A, device_type=4, size=(300, 250))], A),
        ([rule(B, device_type=4, size=(300, 250)), rule(A, country="DEU", media_type="banner")], A),
        ([rule(B, country="DEU", device_type=4), rule(A, device_type=4, size=(300, 250), media_type="banner")], A),
        ([rule(B, size=(728, 90)), rule(A, media_type="banner")], A),
        ([rule(B, media_type="video"), rule(A)], A),
        ([rule(A, country="DEU"), rule(B, country="DEU")], A),
    ],
    ids=[
        "no rule: the plain floor",
        "a rule for everything",
        "a rule may be lower than the plain floor",
        "of equals the first in the list",
        "a country is more exact than nothing",
        "wherever it stands in the list",
        "another country does not fit",
        "another device does not fit",
        "a country before a device",
        "a device before a size",
        "a size before a media type",
        "two stated fields before one",
        "of two and two the one with the country",
        "three before two",
        "another size does not fit",
        "another media type does not fit",
        "the same fields: the first in the list",
    ],
)
def test_the_most_exact_rule_counts(rules: list[FloorRule], expected: int) -> None:
    """For a banner of 300×250 on a German phone."""
    for_sale = on_a_german_phone(on_top(rules=tuple(rules), floor_micros=1_000_000))
    assert for_sale.floor_for("banner", (300, 250), None).micros == expected


def test_the_publisher_s_rules_count_where_none_of_the_placement_s_fits() -> None:
    """The placement's own rules come first, however inexact; then the publisher's; then the plain floor."""
    own = rule(A, country="USA")
    everywhere = rule(B)
    assert on_a_german_phone(on_top(rules=(own,), of_publisher=(everywhere,))).floor == Floor(B, "The publisher's")
    in_germany = rule(B, country="DEU")
    assert on_a_german_phone(on_top(rules=(rule(A),), of_publisher=(in_germany,))).floor == Floor(A, "The placement's")


@pytest.mark.parametrize(
    ("rules", "bidfloor", "floor", "video"),
    [
        ((rule(B),), 0.5, Floor(B, "The publisher's"), B),
        ((rule(B),), 4, Floor(4_000_000, "The imp's"), 4_000_000),
        ((rule(B, media_type="video"),), 0.5, Floor(500_000, "The imp's"), B),
        ((rule(B, country="USA"),), 0.5, Floor(500_000, "The imp's"), 500_000),
        ((), 0.5, Floor(500_000, "The imp's"), 500_000),
    ],
)
def test_the_publisher_s_rules_count_without_a_placement(
    rules: tuple[FloorRule, ...], bidfloor: float, floor: Floor, video: int
) -> None:
    """The request names the publisher, so it is known whose rules hold; beside the imp's floor, as always."""
    body = request(imp(bidfloor=bidfloor, video=VIDEO), site={"publisher": {"id": "p"}}, **GERMAN_PHONE)
    for_sale = sold(body, market(publishers={"p": publisher(floor_rules=rules)}))
    assert for_sale.floor == floor
    assert for_sale.floor_for("video", None, 30).micros == video


def test_bidders_are_told_the_lowest_that_may_do() -> None:
    """Where the floor depends on the ad, the imp's is that of its cheapest ad, so that no good bid is kept away."""
    rules = (rule(A, size=(300, 250)), rule(B, size=(728, 90)), rule(9_000_000, media_type="video"))
    catalogue = on_top(rules=rules, sizes=((300, 250), (728, 90)), floor_micros=100_000)
    for_sale = on_a_german_phone(catalogue, video=VIDEO)
    assert for_sale.floor.micros == A
    sizes: tuple[tuple[int, int], ...] = ((300, 250), (728, 90), (1, 1))
    assert [for_sale.floor_for("banner", size, None).micros for size in sizes] == [A, B, 100_000]
    assert for_sale.floor_for("video", None, 30).micros == 9_000_000


def test_many_sizes_beside_many_rules_cost_little() -> None:
    """An answer's bids that tell no size, for an imp of as many as a request may list: the dearest one counts."""
    formats = [{"w": 100 + number, "h": 50} for number in range(256)]
    rules = tuple(rule(2_000_000 + number, size=(350 + number, 50)) for number in range(100))
    for_sale = on_a_german_phone(on_top(rules=rules), banner={"format": formats})
    started = process_time()
    floors = {for_sale.floor_for("banner", None, None).micros for _ in range(100)}
    assert process_time() - started < 0.15
    assert floors == {2_000_005}


def test_a_size_that_is_not_told_is_the_dearest() -> None:
    """A bid cannot undercut a rule by leaving its size out; where there is one size only it is that one."""
    rules = (rule(A, size=(300, 250)), rule(B, size=(728, 90)))
    catalogue = on_top(rules=rules, sizes=((300, 250), (728, 90)))
    assert on_a_german_phone(catalogue).floor_for("banner", None, None).micros == B
    one_size = {"w": 300, "h": 250}
    assert on_a_german_phone(catalogue, banner=one_size).floor_for("banner", None, None).micros == A


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), A), ((320, 480), B), ((639, 480), A), ((300, 250), B), ((50, 50), 9_000_000), (None, B)],
    ids=["listed", "also listed", "fits into one", "fits into both", "has its own rule", "not told"],
)
def test_a_smaller_ad_of_an_interstitial(size: tuple[int, int] | None, expected: int) -> None:
    """It costs what the dearest listed size costs that it takes, and no less than ads of its own size."""
    rules = (rule(A, size=(640, 480)), rule(B, size=(320, 480)), rule(9_000_000, size=(50, 50)))
    sizes = {"format": [{"w": 640, "h": 480}, {"w": 320, "h": 480}]}
    for_sale = on_a_german_phone(on_top(rules=rules), banner=sizes, instl=1)
    assert for_sale.floor_for("banner", size, None).micros == expected


@pytest.mark.parametrize(("player", "expected"), [({"w": 640, "h": 480}, A), ({"w": 1, "h": 1}, 0), ({}, 0)])
def test_the_size_of_a_video_is_its_player_s(player: dict[str, int], expected: int) -> None:
    """What the bid says counts only where the imp says nothing."""
    catalogue = on_top(rules=(rule(A, size=(640, 480)),))
    for_sale = on_a_german_phone(catalogue, video=VIDEO | player)
    assert [for_sale.floor_for("video", size, 30).micros for size in ((1, 1), None)] == [expected, expected]
    anywhere = on_a_german_phone(catalogue, video=VIDEO)
    assert anywhere.floor_for("video", (640, 480), 30).micros == A


@pytest.mark.parametrize(
    ("members", "duration", "expected"),
    [
        ({"durfloors": [{"mindur": 1, "maxdur": 15, "bidfloor": 5}]}, 15, 5_000_000),
        ({"durfloors": [{"mindur": 1, "maxdur": 15, "bidfloor": 5}]}, 16, 1_000_000),
        ({"durfloors": [{"mindur": 16, "bidfloor": 10}]}, 16, 10_000_000),
        ({"durfloors": [{"mindur": 16, "bidfloor": 10}]}, 60, 10_000_000),
        ({"durfloors": [{"maxdur": 15, "bidfloor": 0.5}]}, 10, 500_000),
        ({"durfloors": [{"maxdur": 15, "bidfloor": 5}, {"mindur": 16, "bidfloor": 10}]}, None, 10_000_000),
        ({"mincpmpersec": 0.2}, 30, 6_000_000),
        ({"mincpmpersec": 0.2, "maxduration": 60}, None, 12_000_000),
        ({"mincpmpersec": 0.2, "rqddurs": [15, 30]}, None, 6_000_000),
        ({"mincpmpersec": 0.2, "poddur": 90}, None, 18_000_000),
        ({"mincpmpersec": 0.2}, None, None),
        ({"mincpmpersec": 0.2, "durfloors": [{"mindur": 1, "bidfloor": 4}]}, 10, 4_000_000),
        ({"mincpmpersec": 0.2, "durfloors": [{"mindur": 1, "bidfloor": 4}]}, 30, 6_000_000),
    ],
    ids=[
        "the upper end of a range is in it",
        "outside of all ranges: the imp's",
        "the lower end of a range is in it",
        "without an upper end",
        "in the place of the imp's, which is higher",
        "a duration that is not told is the dearest",
        "by the second",
        "by the second, not told: as long as an ad may be",
        "by the second, not told: the longest required one",
        "by the second, not told: the whole pod",
        "by the second, not told and without an end: out of reach",
        "both, the range is higher",
        "both, the seconds are higher",
    ],
)
def test_floors_by_duration(members: dict[str, Any], duration: int | None, expected: int | None) -> None:
    """Of video and audio, in the place of the imp's floor of 1.00."""
    catalogue = market()
    media: tuple[MediaType, ...] = ("video", "audio")
    for media_type in media:
        offered = imp(bidfloor=1, banner=None, **{media_type: VIDEO | members})
        del offered["banner"]
        assert sold(request(offered), catalogue).floor_for(media_type, None, duration).micros == expected


def test_the_placement_s_floor_holds_for_all_durations() -> None:
    """A cheap duration does not undercut the placement."""
    video = VIDEO | {"durfloors": [{"mindur": 1, "bidfloor": 0.5}]}
    for_sale = on_a_german_phone(on_top(floor_micros=A), video=video)
    assert for_sale.floor_for("video", None, 10) == Floor(A, "The placement's")


@pytest.mark.parametrize(
    ("stated", "members", "micros"),
    [
        ("EUR", {"cur": ["USD"]}, 1_100_002),
        ("USD", {"cur": ["EUR"]}, 909_092),
        ("USD", {}, 1_000_001),
    ],
)
def test_floors_are_converted_and_rounded_up(stated: str, members: dict[str, Any], micros: int) -> None:
    """1.000001 in its own currency; the rate stands beside it, so that anybody can check."""
    floor = sold(request(imp(bidfloor=1.000001, bidfloorcur=stated), **members), market(rates=RATES)).floor
    assert floor.micros == micros
    if members:
        assert floor.stated is not None
        assert (floor.stated.price_micros, floor.stated.currency) == (1_000_001, stated)
        assert floor.stated.rate == {"EUR": "1.10", "USD": "0.909090909091"}[stated]


def test_a_floor_by_the_second_is_converted_once() -> None:
    """Rounding up every second would ask for more than was stated."""
    video = VIDEO | {"mincpmpersec": 0.000001}
    for_sale = sold(request(imp(video=video, bidfloorcur="EUR")), market(rates={"EUR/USD": "1.0000001"}))
    assert for_sale.floor_for("video", None, 30).micros == 31
    assert for_sale.floor_for("banner", None, None).micros == 0


def test_a_floor_without_a_rate_cannot_be_reached() -> None:
    """Whatever else is asked for: a guessed rate would sell below it."""
    floor = on_a_german_phone(on_top(floor_micros=B), bidfloor=1, bidfloorcur="JPY").floor
    assert floor.micros is None
    assert floor.stated is not None
    assert (floor.stated.currency, floor.stated.rate) == ("JPY", "")


def test_nothing_is_nothing_in_every_currency() -> None:
    """No floor needs no rate."""
    assert sold(request(imp(bidfloorcur="JPY")), market()).floor == Floor(0, "The imp's")


@given(st.data())
def test_what_bidders_are_told_is_what_the_cheapest_ad_needs(data: st.DataObject) -> None:
    """Nothing below it is admitted, and some ad that the imp offers is admitted at it."""
    rules = tuple(data.draw(exact_rules))
    sizes = tuple(data.draw(st.lists(st.sampled_from(SIZES), min_size=1, unique=True)))
    catalogue = on_top(rules=rules, sizes=sizes, floor_micros=data.draw(st.integers(0, 3)))
    for_sale = on_a_german_phone(catalogue, bidfloor=data.draw(st.sampled_from([0, 0.000001, 0.000002])))
    needed = [for_sale.floor_for("banner", size, None).micros for size in sizes]
    assert for_sale.floor.micros == min(micros for micros in needed if micros is not None)


floors = st.builds(Floor, st.none() | st.integers(0, 5), st.sampled_from(["The imp's", "The placement's"]))


@given(floors, floors)
def test_of_two_floors_the_one_that_holds_for_both(first: Floor, second: Floor) -> None:
    """What is admitted at the higher one is admitted at both."""

    def admits(floor: Floor, price: int) -> bool:
        return floor.micros is not None and price >= floor.micros

    for price in range(7):
        assert admits(higher(first, second), price) == (admits(first, price) and admits(second, price))


@given(exact_rules, exact_rules, st.sampled_from(SIZES), st.integers(0, 3))
def test_a_rule_counts_as_a_person_would_look_it_up(
    own: list[FloorRule], publishers: list[FloorRule], size: tuple[int, int], plain: int
) -> None:
    """Going through both lists by hand, for a banner on a German phone, finds the same floor."""
    catalogue = on_top(rules=tuple(own), of_publisher=tuple(publishers), floor_micros=plain)
    found = plain
    for rules in (publishers, own):
        best = -1
        for each in reversed(rules):
            exactness = 0
            for place, (stated, is_so) in enumerate(
                ((each.media_type, "banner"), (each.size, size), (each.device_type, 4), (each.country, "DEU"))
            ):
                if stated == is_so:
                    exactness += 100 + 2**place
                elif stated is not None:
                    break
            else:
                if exactness >= best:
                    best, found = exactness, each.floor_micros
    assert on_a_german_phone(catalogue).floor_for("banner", size, None).micros == found
