"""The index finds what a look at each campaign finds, in the same order, whatever was changed before."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from math import floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue import CurrencyRate, SegmentTarget
from domain.currency import Rates
from domain.direct.block import CAMPAIGNS_MAX, NAMES_MAX
from domain.direct.campaign import LiveCampaign, Size
from domain.direct.index import NO_CAMPAIGNS, DirectIndex
from domain.direct.run import ROUND_SECONDS, Revaluation
from domain.direct.targets import USUAL_SIZES, Traffic
from domain.limits import SEGMENTS_OF_A_VIEWER_MAX, SIZES_LOOKED_AT_MAX
from tests.domain.direct.campaigns import BOX, WIDE, campaign

RATES = Rates([CurrencyRate(base="EUR", quote="USD", rate="1.25")])
PER_USD = {"USD": Fraction(1), "EUR": Fraction(5, 4)}
"""There is none for CHF."""
WORTH = Revaluation(1, lambda each: each.terms.click_bid_nanos // 1_000)
PLACEMENTS, SITES, COUNTRIES = ("p1", "p2"), ("news.example", "sport.news.example", "blog.example"), ("DEU", "FRA")
SEGMENTS = (SegmentTarget("data", "cars"), SegmentTarget("data", "boats"), SegmentTarget("others", "cars"))


def subsets(values: Sequence[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(st.sampled_from(values), unique=True).map(tuple)


campaigns = st.builds(
    lambda number, bid, for_clicks, sizes, currency, **targeting: campaign(
        f"c{number}",
        sizes=sizes,
        currency=currency,
        targeting=targeting,
        **({"click_bid_nanos": bid * 1_000} if for_clicks else {"bid_micros": bid}),
    ),
    number=st.integers(0, 9),
    bid=st.integers(1, 5),
    for_clicks=st.booleans(),
    sizes=st.sampled_from([(BOX,), (WIDE,), (BOX, WIDE), (BOX, BOX)]),
    currency=st.sampled_from(["USD", "EUR", "CHF"]),
    placement_ids=subsets(PLACEMENTS),
    sites=subsets(SITES),
    countries=subsets(COUNTRIES),
    device_types=subsets((2, 4)),
    segments=subsets(SEGMENTS),
)
changes = st.lists(st.lists(campaigns | st.integers(0, 9).map(lambda number: f"c{number}"), max_size=4), max_size=5)
"""Batches of campaigns that come, and of ids that go."""


def imp(
    placement_id: str = "",
    sites: Sequence[str] = (),
    country: str = "",
    device_type: int = 0,
    sizes: Sequence[Size] = (),
    *,
    segments: Sequence[SegmentTarget] = (),
) -> Traffic:
    """Of any size where none is given."""
    allows_size = (lambda *size: size in sizes) if sizes else None
    return Traffic(placement_id, sites, country, device_type, allows_size, tuple(sizes) or None, segments)


imps = st.builds(
    imp,
    st.sampled_from(["", *PLACEMENTS, "p3"]),
    st.sampled_from([(), ("news.example", "example"), ("sport.news.example", "news.example", "example"), ("app",)]),
    st.sampled_from(["", *COUNTRIES, "ITA"]),
    st.sampled_from([0, 2, 4, 5]),
    subsets((BOX, WIDE)),
    segments=subsets(SEGMENTS),
)


def found(index: DirectIndex, traffic: Traffic) -> list[tuple[int, str, tuple[str, ...]]]:
    matches = index.matching(traffic, currency="USD", rates=RATES, revaluation=WORTH)
    return [(-each.minus_price_micros, each.campaign.id, tuple(ad.id for ad in each.ads)) for each in matches]


def looked_through(known: Mapping[str, LiveCampaign], traffic: Traffic) -> list[tuple[int, str, tuple[str, ...]]]:
    """The same without an index, dearest first."""
    fitting = []
    for each in known.values():
        wanted, terms = each.terms.targeting, each.terms
        if terms.currency not in PER_USD or (wanted.placement_ids and traffic.placement_id not in wanted.placement_ids):
            continue
        if wanted.sites and not set(wanted.sites) & set(traffic.sites):
            continue
        if (wanted.countries and traffic.country not in wanted.countries) or (
            wanted.device_types and traffic.device_type not in wanted.device_types
        ):
            continue
        if wanted.segments and not set(wanted.segments) & set(traffic.segments):
            continue
        price = floor((terms.bid_micros or terms.click_bid_nanos // 1_000) * PER_USD[terms.currency])
        for size in {(ad.terms.width, ad.terms.height) for ad in each.ads}:
            if traffic.allows_size is None or traffic.allows_size(*size):
                ads = tuple(ad.id for ad in each.ads if (ad.terms.width, ad.terms.height) == size)
                fitting.append((price, each.id, ads))
    return sorted(fitting, key=lambda each: (-each[0], each[1:]))


@given(changes=changes, traffic=imps)
def test_it_finds_what_a_look_at_each_finds(changes: list[list[LiveCampaign | str]], traffic: Traffic) -> None:
    """After any changes; and the index that they were made from still finds what it found."""
    index, known = NO_CAMPAIGNS, dict[str, LiveCampaign]()
    for batch in changes:
        before, found_before = index, found(index, traffic)
        coming = {each.id: each for each in batch if isinstance(each, LiveCampaign)}
        going = {each for each in batch if isinstance(each, str)} - coming.keys()
        index = index.without(going).with_campaigns(coming.values())
        known = {key: each for key, each in {**known, **coming}.items() if key not in going}
        assert len(index) == len(known)
        assert found(index, traffic) == looked_through(known, traffic)
        assert found(before, traffic) == found_before
    emptied = index.without(known)
    assert len(emptied) == 0
    assert found(emptied, traffic) == []


def test_lists_of_targets_that_multiply_are_found_all_the_same() -> None:
    """A campaign of a thousand combinations stands under fewer, and still only for what it targets."""
    many = {"placement_ids": tuple(f"p{n}" for n in range(256)), "countries": COUNTRIES}
    index = NO_CAMPAIGNS.with_campaigns([campaign("c", targeting=many)])
    assert [each[1] for each in found(index, imp("p7", country="FRA"))] == ["c"]
    assert found(index, imp("p7", country="ITA")) == []
    assert found(index, imp("top", country="FRA")) == []


def test_campaigns_that_pay_for_clicks_are_valued_anew_when_it_is_time() -> None:
    """And not before: until then they stand where they stood."""
    worth = {"often": 3_000, "seldom": 1_000}
    index = NO_CAMPAIGNS.with_campaigns(campaign(name, click_bid_nanos=1_000_000) for name in worth)

    def order(at: float) -> list[str]:
        revaluation = Revaluation(at, lambda each: worth[each.id])
        matches = index.matching(imp(), currency="USD", rates=RATES, revaluation=revaluation)
        return [each.campaign.id for each in matches]

    assert order(1) == ["often", "seldom"]
    worth["seldom"] = 5_000
    assert order(1) == ["often", "seldom"]
    assert order(1 + ROUND_SECONDS) == ["seldom", "often"]


def test_a_segment_is_its_feed_clients_own() -> None:
    """One of the same name at another client is another one, however the two names are put together."""
    index = NO_CAMPAIGNS.with_campaigns([campaign(targeting={"segments": (SegmentTarget("data", "cars"),)})])
    for other in (SegmentTarget("others", "cars"), SegmentTarget("datac", "ars"), SegmentTarget("dat", "acars")):
        assert found(index, imp(segments=[other])) == []
    assert [each[1] for each in found(index, imp(segments=[SegmentTarget("data", "cars")]))] == ["c"]


def test_only_what_campaigns_are_for_is_sought() -> None:
    """As long as one of them is there; the feed clients that most of them are for stand first."""
    cars, boats, cats = SegmentTarget("data", "cars"), SegmentTarget("data", "boats"), SegmentTarget("pets", "cats")
    many = [campaign("c1", targeting={"segments": (cars, cats)}), campaign("c2", targeting={"segments": (cars, boats)})]
    index = NO_CAMPAIGNS.with_campaigns([*many, campaign("c3")])
    assert index.sought.clients == ("data", "pets")
    assert index.sought.among("data", ["planes", "boats", "cars", "cats", "boats"]) == [boats, cars]
    without = index.without(["c2"])
    assert without.sought.among("data", ["boats", "cars"]) == [cars]
    assert index.with_campaigns([campaign("c1")]).sought.clients == ("data",)
    assert without.without(["c1"]).sought.clients == ()
    assert without.without(["c1", "c3"]).sought.among("data", ["cars"]) == []


def test_so_much_of_one_viewer_is_looked_for() -> None:
    """Of each feed client."""
    targets = tuple(SegmentTarget("client", f"s{m}") for m in range(300))
    index = NO_CAMPAIGNS.with_campaigns([campaign("c1", targeting={"segments": targets})])
    assert len(index.sought.among("client", [f"s{m}" for m in range(300)])) == SEGMENTS_OF_A_VIEWER_MAX


def one_of_many(number: int, chance: random.Random) -> LiveCampaign:
    """Any campaign; a few of them target a lot."""
    bid = chance.randrange(1, 1_000)
    price: dict[str, Any] = {"click_bid_nanos": bid * 1_000} if chance.random() < 1 / 3 else {"bid_micros": bid}
    return campaign(
        f"c{number}",
        sizes=tuple(chance.sample([BOX, WIDE, *((100 + n, 100) for n in range(8))], chance.randrange(1, 4))),
        currency=chance.choice(["USD", "USD", "EUR", "CHF"]),
        targeting={
            "placement_ids": tuple(chance.sample(PLACEMENTS, chance.randrange(3))),
            "sites": SITES + tuple(f"{n}.example" for n in range(60)) if chance.random() < 0.1 else (),
            "countries": tuple(chance.sample(COUNTRIES, chance.randrange(3))),
            "device_types": tuple(chance.sample((2, 4, 5), chance.randrange(3))),
        },
        **price,
    )


@pytest.mark.parametrize(("block", "names", "of"), [(8, 40, 300), (CAMPAIGNS_MAX, NAMES_MAX, 2_500)])
def test_it_finds_what_a_look_at_each_finds_among_many(
    monkeypatch: pytest.MonkeyPatch, block: int, names: int, of: int
) -> None:
    """While campaigns come, change and go by one, by the hundred and nearly all, in small blocks and those in use."""
    for name, value in (("CAMPAIGNS_MAX", block), ("NAMES_MAX", names)):
        monkeypatch.setattr(f"domain.direct.block.{name}", value)
        monkeypatch.setattr(f"domain.direct.run.{name}", value)
    chance = random.Random(of)
    index, known = NO_CAMPAIGNS, dict[str, LiveCampaign]()
    for share in (1, 1 / of, 0.3, 1 / of, -0.97, 1 / of, 0.2, -0.1, 1 / of):
        changing = chance.sample(range(of), max(1, round(abs(share) * of)))
        if share < 0:
            index = index.without(f"c{number}" for number in changing)
            known = {key: each for key, each in known.items() if int(key[1:]) not in changing}
        else:
            coming = [one_of_many(number, chance) for number in changing]
            index = index.with_campaigns(coming)
            known |= {each.id: each for each in coming}
        for traffic in (
            imp("p1", ("news.example", "example"), "DEU", 4, (BOX,)),
            imp("p3", ("7.example", "example"), "ITA", 2),
        ):
            assert found(index, traffic) == looked_through(known, traffic)


def steps(work: Callable[[], object]) -> int:
    """How many calls the work makes, of any function."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


PHONES_OVERSEAS = {"countries": ("USA", "CAN", "GBR", "AUS", "NZL"), "device_types": (1, 4, 5)}
MANY = 4_000


@pytest.mark.parametrize(
    ("targeting", "sizes", "traffic"),
    [
        pytest.param(PHONES_OVERSEAS, [BOX], imp("p", ("news.example",), "USA", 2, [BOX]), id="targets"),
        pytest.param({}, [(999, 1), (999, 2), (999, 3)], imp("p", ("news.example",), "USA", 2, [BOX]), id="sizes"),
        pytest.param({}, [(999, 1), (999, 2), (999, 3)], imp("p"), id="any size"),
        pytest.param({}, [(999, 1), (999, 2)], imp("p")._replace(allows_size=lambda w, h: w < h), id="flexible"),
        pytest.param({}, [BOX], imp("p", ("news.example",), "USA", 2, [(9, n) for n in range(256)]), id="formats"),
        pytest.param({"placement_ids": ("p", "q"), "countries": ("USA",)}, [BOX], imp("p", (), "DEU"), id="half"),
    ],
)
def test_a_look_up_does_not_go_through_the_campaigns(
    targeting: dict[str, Any], sizes: list[Size], traffic: Traffic
) -> None:
    """Whatever they target and of whatever sizes their ads are, and whether one of them fits or none."""
    each_of = zip(range(MANY), itertools.cycle(sizes), strict=False)
    index = NO_CAMPAIGNS.with_campaigns(
        campaign(f"c{number}", bid_micros=1 + number, sizes=(size,), targeting=targeting) for number, size in each_of
    )

    def look_up() -> None:
        matches = index.matching(traffic, currency="USD", rates=RATES, revaluation=WORTH)
        assert len(list(islice(matches, 4))) in (0, 4)

    look_up()
    assert steps(look_up) < MANY / 4


def test_an_imp_of_flexible_size_tries_the_usual_ones_and_some_others() -> None:
    """However many odd sizes there are, of however dear campaigns, it finds what nearly all ads are."""
    odd = campaign("odd", bid_micros=9_000_000, sizes=tuple((1 + side, 100) for side in range(MANY)))
    index = NO_CAMPAIGNS.with_campaigns([odd, campaign("usual"), campaign("wide", sizes=(WIDE,))])
    tried: list[Size] = []

    def allows_size(*size: int) -> bool:
        tried.append((size[0], size[1]))
        return size == BOX

    assert [each[1] for each in found(index, imp()._replace(allows_size=allows_size))] == ["usual"]
    assert set(tried) >= {BOX, WIDE}
    assert len(tried) <= SIZES_LOOKED_AT_MAX + len(USUAL_SIZES)


def test_time_and_a_change_do_not_put_all_campaigns_in_order_anew() -> None:
    """A look-up values a block at most, and after a round of them all of it is in the new order."""
    worth = {f"c{number}": 1_000_000 + number for number in range(MANY)}
    index = NO_CAMPAIGNS.with_campaigns(campaign(each, click_bid_nanos=1_000_000_000) for each in worth)
    valued: list[str] = []

    def worth_now(each: LiveCampaign) -> int:
        valued.append(each.id)
        return worth[each.id]

    def look_up(at: float) -> list[str]:
        valued.clear()
        matches = index.matching(imp(), currency="USD", rates=RATES, revaluation=Revaluation(at, worth_now))
        dearest = [each.campaign_id for each in islice(matches, 4)]
        assert len(valued) <= CAMPAIGNS_MAX
        return dearest

    for at in range(2 * ROUND_SECONDS):
        look_up(at)
    assert look_up(100) == ["c3999", "c3998", "c3997", "c3996"]
    worth["c17"] = 9_000_000
    index = index.with_campaigns([campaign("c5", click_bid_nanos=1_000_000_000, name="New name")])
    assert look_up(100) == ["c3999", "c3998", "c3997", "c3996"]
    assert valued == []
    for at in range(101, 101 + 2 * ROUND_SECONDS):
        look_up(at)
    assert look_up(200) == ["c17", "c3999", "c3998", "c3997"]


def test_a_campaign_is_worth_what_it_was_until_it_is_valued_anew() -> None:
    """One that is changed does not lose its place; with twice the bid for a click it is worth twice as much."""
    worth = {"often": 5_000, "seldom": 1_000}
    index = NO_CAMPAIGNS.with_campaigns(campaign(each, click_bid_nanos=1_000_000) for each in worth)

    def prices() -> list[tuple[str, int]]:
        revaluation = Revaluation(1, lambda each: worth[each.id])
        matches = index.matching(imp(), currency="USD", rates=RATES, revaluation=revaluation)
        return [(each.campaign_id, -each.minus_price_micros) for each in matches]

    assert prices() == [("often", 5_000), ("seldom", 1_000)]
    index = index.with_campaigns([campaign("often", click_bid_nanos=2_000_000)])
    assert prices() == [("often", 10_000), ("seldom", 1_000)]
