"""Finding the campaigns that fit an imp among a hundred thousand live ones, against a look at each of them."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator, Sequence
from heapq import nsmallest
from itertools import islice
from time import perf_counter, process_time
from typing import Any, TypeVar

from bench.cost import Comparison, Contender, Cost, Target, take_turns
from bench.installation import Installation
from bench.report import Section
from bench.size import Size
from domain.catalogue import Ad, Advertiser, Campaign, SegmentTarget, Targeting
from domain.currency import NO_RATES
from domain.direct.campaign import LiveCampaign, live_campaign
from domain.direct.index import NO_CAMPAIGNS, DirectIndex
from domain.direct.run import ROUND_SECONDS, Revaluation
from domain.direct.targets import Traffic
from domain.limits import CAMPAIGNS_STANDING_MAX

CAMPAIGNS = 100_000
FEW_CAMPAIGNS = 1_000
CHANGES = 200
"""Campaigns that change one by one."""
SCANNED_IMPS = 10
SEED = 7
SIZES = ((300, 250), (728, 90), (160, 600), (320, 50), (970, 250))
COUNTRIES = ("DEU", "USA", "GBR", "FRA", "ESP", "ITA", "POL", "AUT", "NLD", "SWE")
PLACEMENTS = tuple(f"placement-{number}" for number in range(2_000))
SITES = tuple(f"site-{number}.example" for number in range(1_000))
DEVICE_TYPES = (2, 4, 5)
SEGMENTS = tuple(SegmentTarget(f"client-{number % 10}", f"segment-{number}") for number in range(5_000))
SEGMENTS_OF_A_VIEWER = 40
"""Fewer than so many."""
SHOP = Advertiser(name="Shop", domain="shop.example")
NOTHING_CLICKED = Revaluation(0, lambda campaign: campaign.terms.click_bid_nanos // 1_000)

OVERSEAS = ("USA", "CAN", "GBR", "AUS", "NZL")
PHONES = (1, 4, 5)
ODD_CAMPAIGNS = 100
ODD_SIZES = 1_000
AT_A_DESK = Traffic("placement-1", ("site-1.example", "example"), "USA", 2, lambda *size: size == SIZES[0], SIZES[:1])

Item = TypeVar("Item")
Found = tuple[Any, ...]
"""Price, campaign and ad stand first."""
Find = Callable[[Traffic], Sequence[Found]]


async def measure(_installation: Installation, size: Size) -> Section:
    """Both ways in this process; it is checked that they find the same."""
    chance = random.Random(SEED)
    campaigns = [_campaign(number, chance) for number in range(CAMPAIGNS)]
    imps = [_imp(chance) for _ in range(size.parts)]
    index = NO_CAMPAIGNS.with_campaigns(campaigns)
    small = NO_CAMPAIGNS.with_campaigns(campaigns[:FEW_CAMPAIGNS])
    for imp in imps[:SCANNED_IMPS]:
        found, scanned = _indexed(index)(imp), _scanned(campaigns)(imp)
        assert [each[:3] for each in found] == [each[:3] for each in scanned], imp
    odd = index.with_campaigns(_of_odd_sizes(number) for number in range(ODD_CAMPAIGNS))
    overseas = NO_CAMPAIGNS.with_campaigns(_overseas(number) for number in range(CAMPAIGNS))
    assert not _indexed(overseas)(AT_A_DESK)
    rounds = await take_turns(
        {
            "index": _looking(_indexed(index), imps),
            "scan": _looking(_scanned(campaigns), imps[:SCANNED_IMPS]),
            "small": _looking(_indexed(small), imps),
            "odd": _looking(_indexed(odd), imps),
            "none": _looking(_indexed(overseas), [AT_A_DESK] * size.parts),
            "change": _changing(index, campaigns[:CHANGES]),
        },
        rounds=size.rounds,
    )
    return Section(
        title="Campaigns for an imp",
        method="\n".join(_method(size)),
        comparisons=[
            _comparison("the dearest that fit", "a look at each", rounds, "scan", least=100),
            _comparison("the same among fewer", f"index of {FEW_CAMPAIGNS:,}", rounds, "small", least=0.1),
            _comparison("the same beside odd sizes", f"and {ODD_CAMPAIGNS} of odd sizes", rounds, "odd", least=0.5),
            _comparison("where none fits", "targets that multiply", rounds, "none", least=0.05),
        ],
        notes=[*_notes(rounds, overseas)],
    )


def _notes(rounds: dict[str, list[Cost]], overseas: DirectIndex) -> Iterator[str]:
    change_us = min(each.cpu_us for each in rounds["change"])
    yield f"A change of one campaign among {CAMPAIGNS:,} takes the index {change_us / 1_000:.2f} ms."
    valued_ms, changed_ms = _longest_ms(overseas)
    yield (
        f"Among {CAMPAIGNS:,} that pay for clicks the longest look-up of {ROUND_SECONDS} seconds, in which all are"
        f" valued anew, takes {valued_ms:.2f} ms; the first one after a change, with that, {changed_ms:.2f} ms."
    )


def _longest_ms(index: DirectIndex) -> tuple[float, float]:
    """CPU time of look-ups while all campaigns are valued anew, and of a change with the look-up after it."""
    on_a_phone = AT_A_DESK._replace(device_type=4)

    def taken(index: DirectIndex, at: float, changed: Sequence[LiveCampaign] = ()) -> float:
        began_at = process_time()
        revaluation = NOTHING_CLICKED._replace(at=at)
        matches = index.with_campaigns(changed).matching(
            on_a_phone, currency="USD", rates=NO_RATES, revaluation=revaluation
        )
        assert len(list(islice(matches, CAMPAIGNS_STANDING_MAX))) == CAMPAIGNS_STANDING_MAX
        return 1_000 * (process_time() - began_at)

    # The many campaigns that were just made are looked through by the collector now, and not within a look-up.
    gc.collect()
    ticks = [1_000 + ROUND_SECONDS * tick / 1_000 for tick in range(1_000)]
    valued_ms = max(taken(index, at) for at in ticks)
    return valued_ms, max(taken(index, ticks[-1], [_overseas(number)]) for number in range(CHANGES))


def _method(size: Size) -> Iterator[str]:
    yield f"{size.rounds} rounds of {size.parts:,} imps, each of which asks for {CAMPAIGNS_STANDING_MAX} campaigns."
    yield (
        f"The campaigns have up to three of {len(PLACEMENTS):,} placements, {len(SITES):,} sites, {len(COUNTRIES)}"
        f" countries, {len(DEVICE_TYPES)} device types and {len(SEGMENTS):,} segments, or all, and ads of two sizes;"
        f" one in four pays for clicks. A viewer is in fewer than {SEGMENTS_OF_A_VIEWER} of the segments."
    )
    yield (
        f"Beside odd sizes: {ODD_CAMPAIGNS} more campaigns, with {ODD_SIZES:,} ads each in sizes that nobody asks for."
        f" Where none fits: all {CAMPAIGNS:,} are for phones in {len(OVERSEAS)} countries, and the imp is a desktop's."
    )
    yield f"Looking at each is measured with {SCANNED_IMPS} imps a round; it was checked that both find the same."


def _comparison(what: str, peer: str, rounds: dict[str, list[Cost]], of_peer: str, *, least: float) -> Comparison:
    return Comparison(
        what=what,
        unit="imp",
        subject=f"index of {CAMPAIGNS:,}",
        peer=peer,
        subject_rounds=rounds["index"],
        peer_rounds=rounds[of_peer],
        ratio_of="rates",
        target=Target("≥", least),
    )


def _campaign(number: int, chance: random.Random) -> LiveCampaign:
    targeting = Targeting(
        placement_ids=_some(PLACEMENTS, chance, share=0.3),
        sites=_some(SITES, chance, share=0.3),
        countries=_some(COUNTRIES, chance, share=0.6),
        device_types=_some(DEVICE_TYPES, chance, share=0.4),
        segments=_some(SEGMENTS, chance, share=0.3),
    )
    price = chance.randrange(10_000, 10_000_000)
    pays_for_clicks = chance.random() < 1 / 4
    terms = Campaign(
        advertiser_id="shop",
        name=f"Campaign {number}",
        bid_micros=0 if pays_for_clicks else price,
        click_bid_nanos=price * 1_000 if pays_for_clicks else 0,
        budget_nanos=10**12,
        targeting=targeting,
    )
    return live_campaign(f"campaign-{number:06}", terms, SHOP, _ads(number, chance.sample(SIZES, 2)))


def _overseas(number: int) -> LiveCampaign:
    """It pays for clicks."""
    terms = Campaign(
        advertiser_id="shop",
        name=f"Campaign {number}",
        click_bid_nanos=(1 + number) * 1_000_000,
        budget_nanos=10**12,
        targeting=Targeting(countries=OVERSEAS, device_types=PHONES),
    )
    return live_campaign(f"overseas-{number:06}", terms, SHOP, _ads(number, SIZES[:1]))


def _of_odd_sizes(number: int) -> LiveCampaign:
    terms = Campaign(advertiser_id="shop", name=f"Odd {number}", bid_micros=9_000_000, budget_nanos=10**12)
    ads = _ads(number, [(1_000 + side, 100 + number) for side in range(ODD_SIZES)])
    return live_campaign(f"odd-{number:06}", terms, SHOP, ads)


def _ads(number: int, sizes: Sequence[tuple[int, int]]) -> list[tuple[str, Ad]]:
    return [
        (f"ad-{number}-{width}", Ad(campaign_id="", name="", width=width, height=height, landing_url="", html="ad"))
        for width, height in sizes
    ]


def _some(of: Sequence[Item], chance: random.Random, *, share: float) -> tuple[Item, ...]:
    return tuple(chance.sample(of, chance.randrange(1, 4))) if chance.random() < share else ()


def _imp(chance: random.Random) -> Traffic:
    sizes = chance.sample(SIZES, chance.randrange(1, 3))
    return Traffic(
        chance.choice(PLACEMENTS),
        (chance.choice(SITES), "example"),
        chance.choice(COUNTRIES),
        chance.choice(DEVICE_TYPES),
        lambda width, height: (width, height) in sizes,
        sizes,
        chance.sample(SEGMENTS, chance.randrange(SEGMENTS_OF_A_VIEWER)),
    )


def _indexed(index: DirectIndex) -> Find:
    def find(imp: Traffic) -> Sequence[Found]:
        matches = index.matching(imp, currency="USD", rates=NO_RATES, revaluation=NOTHING_CLICKED)
        return list(islice(matches, CAMPAIGNS_STANDING_MAX))

    return find


def _scanned(campaigns: Sequence[LiveCampaign]) -> Find:
    """What everybody writes first."""

    def find(imp: Traffic) -> Sequence[Found]:
        return nsmallest(
            CAMPAIGNS_STANDING_MAX,
            (
                (-(each.terms.bid_micros or NOTHING_CLICKED.worth(each)), each.id, ad.id)
                for each in campaigns
                if (not each.placement_ids or imp.placement_id in each.placement_ids)
                and (not each.sites or not each.sites.isdisjoint(imp.sites))
                and (not each.countries or imp.country in each.countries)
                and (not each.device_types or imp.device_type in each.device_types)
                and (not each.segments or not each.segments.isdisjoint(imp.segments))
                for ad in each.ads
                if imp.allows_size is None or imp.allows_size(ad.terms.width, ad.terms.height)
            ),
        )

    return find


def _looking(find: Find, imps: Sequence[Traffic]) -> Contender:
    async def measured() -> Cost:
        wall, cpu = perf_counter(), process_time()
        for imp in imps:
            find(imp)
        return Cost(len(imps), process_time() - cpu, perf_counter() - wall)

    return measured


def _changing(index: DirectIndex, campaigns: Sequence[LiveCampaign]) -> Contender:
    async def measured() -> Cost:
        wall, cpu = perf_counter(), process_time()
        for each in campaigns:
            index.without([each.id]).with_campaigns([each])
        return Cost(2 * len(campaigns), process_time() - cpu, perf_counter() - wall)

    return measured
