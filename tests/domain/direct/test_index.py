"""The index finds what a look at each campaign finds, in the same order, whatever was changed before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor

from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue import CurrencyRate
from domain.currency import Rates
from domain.direct.campaign import LiveCampaign, Size
from domain.direct.index import NO_CAMPAIGNS, DirectIndex, Revaluation, Traffic
from tests.domain.direct.campaigns import BOX, WIDE, campaign

RATES = Rates([CurrencyRate(base="EUR", quote="USD", rate="1.25")])
PER_USD = {"USD": Fraction(1), "EUR": Fraction(5, 4)}
"""There is none for CHF."""
WORTH = Revaluation(1, lambda each: each.terms.click_bid_nanos // 1_000)
PLACEMENTS, SITES, COUNTRIES = ("p1", "p2"), ("news.example", "sport.news.example", "blog.example"), ("DEU", "FRA")


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
)
changes = st.lists(st.lists(campaigns | st.integers(0, 9).map(lambda number: f"c{number}"), max_size=4), max_size=5)
"""Batches of campaigns that come, and of ids that go."""


def imp(
    placement_id: str = "",
    sites: Sequence[str] = (),
    country: str = "",
    device_type: int = 0,
    sizes: Sequence[Size] = (),
) -> Traffic:
    """Of any size where none is given."""
    return Traffic(
        placement_id, sites, country, device_type, lambda *size: not sizes or size in sizes, tuple(sizes) or None
    )


imps = st.builds(
    imp,
    st.sampled_from(["", *PLACEMENTS, "p3"]),
    st.sampled_from([(), ("news.example", "example"), ("sport.news.example", "news.example", "example"), ("app",)]),
    st.sampled_from(["", *COUNTRIES, "ITA"]),
    st.sampled_from([0, 2, 4, 5]),
    subsets((BOX, WIDE)),
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
        price = floor((terms.bid_micros or terms.click_bid_nanos // 1_000) * PER_USD[terms.currency])
        for size in {(ad.terms.width, ad.terms.height) for ad in each.ads}:
            if traffic.allows_size(*size):
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

    def order(number: int) -> list[str]:
        revaluation = Revaluation(number, lambda each: worth[each.id])
        matches = index.matching(imp(), currency="USD", rates=RATES, revaluation=revaluation)
        return [each.campaign.id for each in matches]

    assert order(1) == ["often", "seldom"]
    worth["seldom"] = 5_000
    assert order(1) == ["often", "seldom"]
    assert order(2) == ["seldom", "often"]


def test_nobody_is_known_to_be_in_a_segment() -> None:
    """So a campaign for one is found nowhere."""
    index = NO_CAMPAIGNS.with_campaigns([campaign(targeting={"segments": ({"client": "data", "segment": "cars"},)})])
    assert len(index) == 1
    assert found(index, imp()) == []
