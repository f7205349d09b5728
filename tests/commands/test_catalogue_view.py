"""The catalogue inside an API process follows the Redis cache within moments, and survives its loss."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import msgspec
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from commands import catalogue_view
from commands.catalogue_view import CatalogueView
from domain.catalogue import Ad, Advertiser, Bidder, Campaign, CurrencyRate, Deal, Placement, Publisher, Status
from domain.entity import Entity, EntityKind
from domain.names import Names
from gavel.process_clock import fresh_id
from tests.commands.auction_scenario import closed_port
from tests.commands.eventually import eventually


@pytest.fixture
def names() -> Names:
    """Keys of its own; no topics are needed here."""
    return Names(f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        yield redis


@pytest.fixture
async def view(redis: Redis, names: Names) -> AsyncIterator[CatalogueView]:
    view = CatalogueView(redis, names)
    await view.start()
    yield view
    await view.close()


async def put(redis: Redis, names: Names, bidder_id: str, version: int, status: Status = "active") -> None:
    """Writes and announces a bidder as the projection does."""
    terms = Bidder(name=f"v{version}", endpoint="https://dsp.example/bid")
    await put_entity(redis, names, "bidder", bidder_id, terms, version=version, status=status)


async def put_entity(
    redis: Redis,
    names: Names,
    kind: EntityKind,
    entity_id: str,
    terms: object,
    *,
    version: int = 1,
    status: Status = "active",
) -> None:
    entity = Entity(kind, entity_id, version, status, msgspec.Raw(msgspec.json.encode(terms)))
    field = f"{kind}:{entity_id}"
    await redis.hset(names.catalogue_entities, field, msgspec.json.encode(entity))
    await redis.publish(names.catalogue_channel, msgspec.json.encode([field]))


def known(view: CatalogueView) -> dict[str, str]:
    return {bidder.id: bidder.terms.name for bidder in view.market.bidders}


async def test_changes_arrive(view: CatalogueView, redis: Redis, names: Names) -> None:
    """A registration, a change and a pause are seen well within a second."""
    bidder_id = fresh_id()
    for version, status, expected in (
        (1, "active", {bidder_id: "v1"}),
        (2, "active", {bidder_id: "v2"}),
        (3, "paused", {}),
    ):
        await put(redis, names, bidder_id, version, status)
        await eventually(lambda expected=expected: known(view) == expected, seconds=1.0)


async def test_what_was_there_before_is_known_at_the_start(redis: Redis, names: Names) -> None:
    """A process that starts later has the whole catalogue when `start` returns, in the order of the ids."""
    ids = [fresh_id() for _ in range(3)]
    for bidder_id in reversed(ids):
        await put(redis, names, bidder_id, 1)
    view = CatalogueView(redis, names)
    await view.start()
    assert list(known(view)) == ids
    await view.close()


async def test_an_emptied_cache_does_not_empty_the_view(view: CatalogueView, redis: Redis, names: Names) -> None:
    """A Redis that lost its memory is being filled again: until then the last known catalogue stays in force."""
    first, second = fresh_id(), fresh_id()
    await put(redis, names, first, 1)
    await eventually(lambda: first in known(view))
    await redis.delete(names.catalogue_entities)
    await put(redis, names, second, 1)
    await eventually(lambda: second in known(view))
    assert first in known(view)


async def test_an_older_announcement_changes_nothing(view: CatalogueView, redis: Redis, names: Names) -> None:
    """Announcements that come late or twice never set an entity back."""
    bidder_id = fresh_id()
    await put(redis, names, bidder_id, 5)
    await eventually(lambda: known(view) == {bidder_id: "v5"})
    await put(redis, names, bidder_id, 4)
    marker = fresh_id()
    await put(redis, names, marker, 1)
    await eventually(lambda: marker in known(view))
    assert known(view)[bidder_id] == "v5"


async def test_it_works_without_redis(names: Names) -> None:
    """With Redis away the process starts, with an empty catalogue."""
    async with Redis(port=await closed_port(), retry=Retry(NoBackoff(), 0)) as away:
        view = CatalogueView(away, names)
        async with asyncio.timeout(5):
            await view.start()
        assert list(view.market.bidders) == []
        await view.close()


async def test_the_whole_market(view: CatalogueView, redis: Redis, names: Names) -> None:
    """Publishers, placements, deals and rates are known like bidders; what is archived, or cannot be read, is not."""
    await put_entity(redis, names, "publisher", "p", Publisher(name="News", domain="news.example", share_bps=7_000))
    placement = Placement(publisher_id="p", name="Top", sizes=((300, 250),))
    await put_entity(redis, names, "placement", "top", placement)
    await put_entity(redis, names, "placement", "gone", placement, status="archived")
    await put_entity(redis, names, "placement", "odd", {"publisher_id": 1})
    deal = Deal(bidder_ids=("b",))
    await put_entity(redis, names, "deal", "d", deal)
    await put_entity(redis, names, "deal", "resting", deal, status="paused")
    rate = CurrencyRate(base="EUR", quote="USD", rate="1.10")
    await put_entity(redis, names, "currency_rate", "EUR/USD", rate)
    await eventually(lambda: view.market.rates.between("EUR", "USD") is not None)
    market = view.market
    assert {placement_id: each.status for placement_id, each in market.placements.items()} == {"top": "active"}
    assert (market.publishers["p"].share_bps, dict(market.deals)) == (7_000, {"d": deal})


@pytest.mark.parametrize("status", ["paused", "archived"])
async def test_a_publisher_that_takes_no_part(view: CatalogueView, redis: Redis, names: Names, status: Status) -> None:
    """Its placements sell nothing until it is back, whatever their own status."""
    publisher = Publisher(name="News", domain="news.example", share_bps=7_000)
    placement = Placement(publisher_id="p", name="Top", sizes=((300, 250),))
    await put_entity(redis, names, "placement", "top", placement)
    await put_entity(redis, names, "publisher", "p", publisher, status=status)
    await eventually(lambda: [each.status for each in view.market.placements.values()] == ["paused"])
    await put_entity(redis, names, "publisher", "p", publisher, version=2)
    await eventually(lambda: [each.status for each in view.market.placements.values()] == ["active"])


async def test_a_campaign_bids_within_moments(view: CatalogueView, redis: Redis, names: Names) -> None:
    """As soon as its advertiser, itself and an ad are known, in whatever order; and no more once it is paused."""
    terms = Campaign(advertiser_id="adv", name="Winter", bid_micros=1_000_000, budget_nanos=10**12)
    ad = Ad(
        campaign_id="camp", name="Coats", width=300, height=250, landing_url="https://shop.example/", html="<b>x</b>"
    )
    await put_entity(redis, names, "ad", "ad", ad)
    await put_entity(redis, names, "campaign", "camp", terms)
    await put_entity(redis, names, "advertiser", "adv", Advertiser(name="Shop", domain="shop.example"))
    await eventually(lambda: view.market.direct.campaign("camp") is not None, seconds=1.0)
    await put_entity(redis, names, "campaign", "camp", terms, version=2, status="paused")
    await eventually(lambda: view.market.direct.campaign("camp") is None, seconds=1.0)


async def test_a_change_whose_announcement_was_lost(
    redis: Redis, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The offsets of the cache tell that there is something to read."""
    monkeypatch.setattr(catalogue_view, "LISTEN_SECONDS", 0.05)
    view = CatalogueView(redis, names)
    await view.start()
    bidder = Entity("bidder", "b", 1, "active", msgspec.Raw(b'{"name":"quiet","endpoint":"https://dsp.example/"}'))
    await redis.hset(names.catalogue_entities, "bidder:b", msgspec.json.encode(bidder))
    await redis.hset(names.catalogue_offsets, "0", "1")
    await eventually(lambda: known(view) == {"b": "quiet"})
    await view.close()


async def test_nothing_is_read_again_while_nothing_changes(
    redis: Redis, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalogue of hundreds of thousands costs a look at its offsets, also after a change that was announced."""
    monkeypatch.setattr(catalogue_view, "LISTEN_SECONDS", 0.02)
    await redis.hset(names.catalogue_offsets, "0", "1")
    view = CatalogueView(redis, names)
    await view.start()
    await redis.hset(names.catalogue_offsets, "0", "2")
    await put(redis, names, "b", 1)
    await eventually(lambda: known(view) == {"b": "v1"})
    async with redis.monitor() as monitor:
        asked = [str((await monitor.next_command())["command"]) for _ in range(40)]
    await view.close()
    about_this = [each for each in asked if names.namespace in each]
    assert about_this
    assert {each.split()[0] for each in about_this} == {"HGETALL"}
    assert all(names.catalogue_offsets in each for each in about_this)


async def test_a_cache_that_is_being_filled_again(view: CatalogueView, redis: Redis, names: Names) -> None:
    """What is not in it yet, or in an older version, stays as it was known; the rest is taken up."""
    await put(redis, names, "b-1", 3)
    await put(redis, names, "b-2", 1)
    await eventually(lambda: known(view) == {"b-1": "v3", "b-2": "v1"})
    await redis.delete(names.catalogue_entities)
    await put(redis, names, "b-1", 1)
    await put(redis, names, "b-3", 1)
    other = CatalogueView(redis, names)
    await other.start()
    await eventually(lambda: known(view) == {"b-1": "v3", "b-2": "v1", "b-3": "v1"})
    assert known(other) == {"b-1": "v1", "b-3": "v1"}
    await other.close()
