"""An event that cannot be applied is parked, and the later events of its key behind it; all others go on."""

from __future__ import annotations

import msgspec
import pytest

from domain.codec import encode
from tests.projections import audit
from tests.projections.conftest import ReadSide
from tests.projections.traffic import Traffic

GARBAGE = b'{"type":"bid_placed","id":"half an eve'


async def letters(read_side: ReadSide, projection: str) -> list[tuple[str, str]]:
    """Key and error of each dead letter, in the order of the log."""
    query = 'SELECT key, error FROM dead_letters WHERE projection = $1 ORDER BY topic, partition, "offset"'
    return [(row["key"].decode(), row["error"]) for row in await read_side.fetch(query, projection)]


async def test_a_bad_event_in_a_large_batch(read_side: ReadSide) -> None:
    """It is found and parked with what follows under its key; everything around it is applied, nothing twice."""
    traffic = Traffic(1)
    await read_side.log.append_traffic(traffic, 100)
    story = traffic.auction(test=False)
    key = story[0].correlation_id
    await read_side.log.append(story[:1])
    await read_side.log.append_bytes(read_side.names.auctions, key, GARBAGE)
    await read_side.log.append(story[1:3])
    await read_side.log.append_traffic(traffic, 100)
    await read_side.run_to_the_end("delivery", "auction_log")

    for projection in ("delivery", "auction_log"):
        first, *behind = await letters(read_side, projection)
        assert first[0] == key
        assert "bid_placed" in first[1]
        assert behind == [(key, "waits behind an earlier dead letter of its key")] * 2
    parked = {event.id for event in story[1:3]}
    applied = [event for event in await good(read_side) if event["id"] not in parked]
    assert await audit.delivery_in(read_side) == audit.delivery_of(applied)
    await audit.check_auction_log(read_side, applied)


async def good(read_side: ReadSide) -> list[dict[str, object]]:
    """What is logged, without the garbage."""
    names = read_side.names
    payloads = await read_side.log.payloads(names.auctions) + await read_side.log.payloads(names.engagements)
    return [msgspec.json.decode(payload) for payload in payloads if payload != GARBAGE]


async def test_later_events_wait_after_a_restart_too(read_side: ReadSide) -> None:
    """Who takes the partition over knows which keys wait."""
    story = Traffic(2).auction(test=False)
    key = story[0].correlation_id
    await read_side.log.append_bytes(read_side.names.auctions, key, GARBAGE)
    await read_side.run_to_the_end("delivery")
    await read_side.log.append(story)
    await read_side.run_to_the_end("delivery")
    assert [parked for parked, _ in await letters(read_side, "delivery")] == [key] * (1 + len(story))
    assert await audit.delivery_in(read_side) == {}


async def test_an_event_that_the_database_refuses(read_side: ReadSide) -> None:
    """An event that decodes but has no place in the tables is parked like one that does not decode."""
    traffic = Traffic(3)
    story = traffic.auction(test=False)
    absurd = encode(story[0]).replace(b'"tmax_ms":', b'"tmax_ms":99999999')
    await read_side.log.append_bytes(read_side.names.auctions, story[0].correlation_id, absurd)
    await read_side.log.append(traffic.auction(test=False))
    await read_side.log.append(traffic.auction(test=False))
    await read_side.run_to_the_end("auction_log")
    ((key, error),) = await letters(read_side, "auction_log")
    assert key == story[0].correlation_id
    assert "out of int32 range" in error
    assert len(await read_side.fetch("SELECT FROM auctions")) == 2


@pytest.mark.parametrize("auction_id", ["not-an-id", "0191e4c8-0000-4000-8000-000000000000"])
async def test_an_auction_without_a_day(read_side: ReadSide, auction_id: str) -> None:
    """An auction's id that is no UUIDv7 names no partition: the event is parked."""
    story = Traffic(4).auction(test=False)
    payload = encode(story[0]).replace(story[0].correlation_id.encode(), auction_id.encode())
    await read_side.log.append_bytes(read_side.names.auctions, auction_id, payload)
    await read_side.run_to_the_end("auction_log")
    ((_, error),) = await letters(read_side, "auction_log")
    assert "is not the id of an auction" in error


async def test_outsiders_words_are_no_poison(read_side: ReadSide) -> None:
    """NUL characters, endless names and absurd numbers from a request are stored in a bounded form, not parked."""
    story = Traffic(5).auction(test=False)
    payload = encode(story[0])
    payload = payload.replace(b'"request_id":"', b'"request_id":"\\u0000\\\\u0000 ', 1)
    payload = payload.replace(b'"inventory":{', b'"inventory":{"site":"' + b"w" * 9_000 + b'","device_type":99999,', 1)
    await read_side.log.append_bytes(read_side.names.auctions, story[0].correlation_id, payload)
    await read_side.run_to_the_end("auction_log", "delivery")
    assert await read_side.fetch("SELECT FROM dead_letters") == []
    (row,) = await read_side.fetch("SELECT request_id FROM auctions")
    assert row["request_id"].startswith("\ufffd\\u0000 request")


async def test_a_poisoned_catalogue(read_side: ReadSide) -> None:
    """The cache in Redis parks as the tables do: its bad event is a dead letter, other entities are cached."""
    traffic = Traffic(6)
    await read_side.log.append_bytes(read_side.names.catalogue, "b-1", b'{"type":"bidder_registered","v":1}')
    await read_side.log.append([traffic.bidder("b-1", "Late"), traffic.bidder("b-2", "Fine")])
    await read_side.run_to_the_end("catalogue", "catalogue_cache")
    for projection in ("catalogue", "catalogue_cache"):
        assert [key for key, _ in await letters(read_side, projection)] == ["b-1", "b-1"]
    assert await read_side.redis.hkeys(read_side.names.catalogue_entities) == [b"bidder:b-2"]
    assert [row["id"] for row in await read_side.fetch("SELECT id FROM entities")] == ["b-2"]
