"""The market that entities make: whatever order and pieces they come in, it is that of the newest of each."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue import (
    Ad,
    Advertiser,
    Bidder,
    Campaign,
    CurrencyRate,
    Deal,
    Placement,
    Publisher,
    Status,
)
from domain.direct.index import DirectIndex
from domain.entity import Entity, EntityKind
from domain.market import Market
from domain.marketplace import Marketplace

STATUSES: tuple[Status, ...] = ("active", "paused", "archived")


def entity(kind: EntityKind, entity_id: str, terms: Any, version: int = 1, status: Status = "active") -> Entity:
    return Entity(kind, entity_id, version, status, msgspec.Raw(msgspec.json.encode(terms)))


def publisher() -> Publisher:
    return Publisher(name="News", domain="news.example", share_bps=7_000)


def placement(owner: str) -> Placement:
    return Placement(publisher_id=owner, name="Top", sizes=((300, 250),))


def advertiser(domain: str = "shop.example") -> Advertiser:
    return Advertiser(name="Shop", domain=domain)


def campaign(owner: str, name: str = "Winter") -> Campaign:
    return Campaign(advertiser_id=owner, name=name, bid_micros=1_000_000, budget_nanos=10**12)


def ad(owner: str, name: str = "Coats") -> Ad:
    return Ad(campaign_id=owner, name=name, width=300, height=250, landing_url="https://shop.example/", html="<b>x</b>")


def made_of(*entities: Entity) -> Marketplace:
    marketplace = Marketplace()
    assert marketplace.take(entities) == []
    marketplace.publish()
    return marketplace


SHOP = (
    entity("advertiser", "adv", advertiser()),
    entity("campaign", "camp", campaign("adv")),
    entity("ad", "ad", ad("camp")),
)


def test_a_campaign_bids_with_its_advertiser_and_ads() -> None:
    """It takes all three, active, in whatever order they come; what one of them states anew is known at once."""
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        live = made_of(*(SHOP[place] for place in order)).market.direct.campaign("camp")
        assert live is not None
        assert (live.ads[0].advertisers[0], [each.id for each in live.ads]) == ("shop.example", ["ad"])
    marketplace = made_of(*SHOP)
    marketplace.take([entity("advertiser", "adv", advertiser("new.example"), 2), entity("ad", "more", ad("camp"))])
    marketplace.publish()
    live = marketplace.market.direct.campaign("camp")
    assert live is not None
    assert (live.ads[0].advertisers[0], [each.id for each in live.ads]) == ("new.example", ["ad", "more"])


def test_a_campaign_rests_with_any_of_the_three() -> None:
    """Paused or archived, advertiser, campaign or its last ad: it does not bid until that is active again."""
    for rests in SHOP:
        for status in ("paused", "archived"):
            marketplace = made_of(*SHOP)
            marketplace.take([Entity(rests.kind, rests.id, 2, status, rests.terms)])
            assert len(marketplace.market.direct) == 1, "not published yet"
            assert len(marketplace.publish().direct) == 0, (rests.kind, status)
            marketplace.take([Entity(rests.kind, rests.id, 3, "active", rests.terms)])
            assert len(marketplace.publish().direct) == 1


def test_what_cannot_be_read_takes_no_part() -> None:
    """It is told, and takes nothing else away; a later version that can be read counts again."""
    marketplace = made_of(*SHOP, entity("placement", "top", placement("pub")))
    told = marketplace.take(
        [
            entity("campaign", "camp", {"advertiser_id": 1}, 2),
            entity("placement", "top", {"name": "no publisher"}, 2),
            entity("ad", "other", {"campaign_id": "camp"}),
        ]
    )
    assert [(each.kind, each.id) for each in told] == [("campaign", "camp"), ("placement", "top"), ("ad", "other")]
    market = marketplace.publish()
    assert (len(market.direct), dict(market.placements)) == (0, {})
    marketplace.take([entity("campaign", "camp", campaign("adv"), 3)])
    assert len(marketplace.publish().direct) == 1


def test_nothing_new_is_the_same_market() -> None:
    """An older version, the same again, or a kind that nobody trades on changes nothing; deal books live on."""
    marketplace = made_of(*SHOP, entity("deal", "d", Deal(bidder_ids=("b",))))
    market = marketplace.market
    book = market.deal_book("USD")
    key = {"name": "x", "role": "admin", "digest": ""}
    marketplace.take([*SHOP, entity("access_key", "k", key), Entity("ad", "ad", 0, "archived", SHOP[2].terms)])
    assert marketplace.publish() is market
    marketplace.take([entity("campaign", "camp", campaign("adv", "Spring"), 2)])
    assert marketplace.publish() is not market
    assert marketplace.market.deal_book("USD") is book
    marketplace.take([entity("deal", "d", Deal(bidder_ids=("b", "c")), 2)])
    assert marketplace.publish().deal_book("USD") is not book


def test_a_market_that_is_held_does_not_change() -> None:
    """An auction goes on with the market that it began with."""
    marketplace = made_of(*SHOP, entity("placement", "top", placement("pub")))
    held = marketplace.market
    marketplace.take([Entity(each.kind, each.id, 2, "archived", each.terms) for each in SHOP])
    marketplace.take([entity("publisher", "pub", publisher(), status="paused")])
    marketplace.publish()
    assert (len(held.direct), held.placements["top"].status) == (1, "active")
    assert (len(marketplace.market.direct), marketplace.market.placements["top"].status) == (0, "paused")


_OWNERS = ("0", "1")
_KINDS: dict[EntityKind, Any] = {
    "publisher": lambda owner, number: publisher(),
    "placement": lambda owner, number: placement(f"publisher-{owner}"),
    "advertiser": lambda owner, number: advertiser(f"shop-{number}.example"),
    "campaign": lambda owner, number: campaign(f"advertiser-{owner}", f"Campaign {number}"),
    "ad": lambda owner, number: ad(f"campaign-{owner}", f"Ad {number}"),
    "bidder": lambda owner, number: Bidder(name=f"Bidder {number}", endpoint="https://dsp.example/"),
    "deal": lambda owner, number: Deal(bidder_ids=(f"bidder-{owner}",), floor_micros=number),
    "currency_rate": lambda owner, number: CurrencyRate(base="EUR", quote="USD", rate=f"1.{number}"),
}


@st.composite
def histories(draw: st.DrawFn) -> list[Entity]:
    """Versions of some entities, shuffled; an entity's owner is told by its own number and never changes."""
    entities = [
        entity(kind, f"{kind}-{number}", _KINDS[kind](number, version), version, draw(st.sampled_from(STATUSES)))
        for kind in _KINDS
        for number in draw(st.sets(st.sampled_from(_OWNERS)))
        for version in range(1, draw(st.integers(2, 4)))
    ]
    return draw(st.permutations(entities))


@given(histories(), st.lists(st.integers(0, 40), max_size=4))
def test_order_and_pieces_do_not_matter(history: list[Entity], cuts: list[int]) -> None:
    """Published after every piece, in the end it is the market that the newest versions make all at once."""
    marketplace = Marketplace()
    places = [0, *sorted(cuts), len(history)]
    for start, end in pairwise(places):
        marketplace.take(history[start:end])
        marketplace.publish()
    newest = {each.id: each for each in sorted(history, key=lambda each: each.version)}
    assert told(marketplace.market) == expected(newest)


def told(market: Market) -> dict[str, Any]:
    return {
        "bidders": [(each.id, each.version, each.terms.name) for each in market.bidders],
        "placements": {each.id: each.status for each in market.placements.values()},
        "publishers": set(market.publishers),
        "deals": {deal_id: deal.floor_micros for deal_id, deal in market.deals.items()},
        "rate": str(market.rates.between("EUR", "USD")),
        "direct": campaigns_told(market.direct),
    }


def campaigns_told(index: DirectIndex) -> dict[str, Any]:
    found = {each: index.campaign(each) for each in ("campaign-0", "campaign-1")}
    assert sum(live is not None for live in found.values()) == len(index)
    return {
        campaign_id: (live.terms.name, live.ads[0].advertisers[0], [(each.id, each.terms.name) for each in live.ads])
        for campaign_id, live in found.items()
        if live is not None
    }


def expected(newest: dict[str, Entity]) -> dict[str, Any]:
    """Worked out the plain way, from the JSON."""
    terms = {entity_id: msgspec.json.decode(each.terms) for entity_id, each in newest.items()}
    active = {entity_id for entity_id, each in newest.items() if each.status == "active"}
    kept = {entity_id for entity_id, each in newest.items() if each.status != "archived"}
    rate = max(
        (each for each in newest.values() if each.kind == "currency_rate"), key=lambda each: each.id, default=None
    )

    def of(kind: EntityKind, among: set[str]) -> list[str]:
        return sorted(entity_id for entity_id in among if newest[entity_id].kind == kind)

    def sells(placement_id: str) -> Status:
        owner = terms[placement_id]["publisher_id"]
        return newest[placement_id].status if owner not in newest or owner in active else "paused"

    def ads(campaign_id: str) -> list[tuple[str, str]]:
        return [(each, terms[each]["name"]) for each in of("ad", active) if terms[each]["campaign_id"] == campaign_id]

    return {
        "bidders": [(each, newest[each].version, terms[each]["name"]) for each in of("bidder", active)],
        "placements": {each: sells(each) for each in of("placement", kept)},
        "publishers": set(of("publisher", kept)),
        "deals": {each: terms[each]["floor_micros"] for each in of("deal", active)},
        "rate": str(terms[rate.id]["rate"]) if rate else "None",
        "direct": {
            each: (terms[each]["name"], terms[terms[each]["advertiser_id"]]["domain"], ads(each))
            for each in of("campaign", active)
            if ads(each) and terms[each]["advertiser_id"] in active
        },
    }
