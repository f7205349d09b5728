"""An event of a release that is not here yet: it waits where it matters, is never guessed at, and stops nobody."""

from __future__ import annotations

from typing import Any

import msgspec

from domain import codec
from projections.registry import REGISTRY, RUNNABLE
from tests.corpus.test_corpus import payload_of
from tests.projections import audit
from tests.projections.conftest import ReadSide, read_side
from tests.projections.traffic import Traffic

__all__ = ["read_side"]

TOMORROW = 99


def of_tomorrow(tag: str) -> bytes:
    """An event of a version that this release does not know, otherwise as today."""
    today = payload_of(f"{tag}.v{codec.newest_version(tag)}")
    return msgspec.json.encode(msgspec.json.decode(today) | {"v": TOMORROW})


def tags_by_topic() -> dict[str, list[str]]:
    """The types that some projection of the topic takes; engagements and catalogue have no type in common."""
    found: dict[str, list[str]] = {"auctions": [], "engagements": [], "catalogue": []}
    for tag, event_type in codec.EVENT_TYPES.items():
        if issubclass(event_type, codec.events.CatalogueEvent):
            found["catalogue"].append(tag)
        elif issubclass(event_type, codec.events.Engagement | codec.events.EngagementVoided):
            found["engagements"].append(tag)
        elif not issubclass(event_type, codec.feed_events.FeedEvent):
            found["auctions"].append(tag)
    return found


async def log_tomorrow(read_side: ReadSide) -> set[tuple[str, str]]:
    """Each event of tomorrow under a key of its own, and an unknown type in each topic: what is to be parked where."""
    expected = set()
    for topic, tags in tags_by_topic().items():
        full_name = f"{read_side.names.namespace}.{topic}"
        readers = [each for each in REGISTRY if topic in each.topics]
        for tag in tags:
            await read_side.log.append_bytes(full_name, f"{tag} of tomorrow", of_tomorrow(tag))
            expected |= {
                (each.name, f"{tag} of tomorrow")
                for each in readers
                if codec.EVENT_TYPES[tag] in each.projection(read_side.names).events
            }
        await read_side.log.append_bytes(full_name, f"unknown in {topic}", b'{"type":"auction_dreamt","v":1}')
        expected |= {(each.name, f"unknown in {topic}") for each in readers}
    return expected


async def test_every_projection_parks_what_it_does_not_know(read_side: ReadSide) -> None:
    """Each parks its types in a version of tomorrow, and types that nobody knows; all else is applied."""
    traffic = Traffic(1)
    await read_side.log.append([traffic.bidder("b-1", "Before")])
    await read_side.log.append_traffic(traffic, 30)
    expected = await log_tomorrow(read_side)
    await read_side.log.append([traffic.bidder("b-2", "After")])
    await read_side.log.append_traffic(traffic, 30)
    await read_side.run_to_the_end(*RUNNABLE)

    letters = await read_side.fetch("SELECT projection, key, error FROM dead_letters")
    assert {(row["projection"], row["key"].decode()) for row in letters} == expected
    assert len(letters) == len(expected)
    for row in letters:
        assert f"has no version {TOMORROW}" in row["error"] or "no event type 'auction_dreamt'" in row["error"]
    known = [event for event in await audit.logged(read_side) if is_of_today(event)]
    assert await audit.delivery_in(read_side) == audit.delivery_of(known)
    await audit.check_auction_log(read_side, known)
    assert {row["id"] for row in await read_side.fetch("SELECT id FROM entities")} == {"b-1", "b-2"}


def is_of_today(event: dict[str, Any]) -> bool:
    return event["type"] != "auction_dreamt" and event["v"] != TOMORROW
