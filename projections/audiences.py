"""The projections `audiences` and `audiences_bulk`: the records of feed clients in Redis, by their two topics.

One reads the changes and one the bulk loads, so that a load's backlog never delays a change. Each writes its own part
of a client's state, whatever the other one has done; what stands is decided where it is read: see `feed_script.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis

from domain import feed_events
from domain.events import Event
from domain.feed_events import (
    FeedChangesReceived,
    FeedEvent,
    FeedRecord,
    FeedRecordAdded,
    FeedRecordDeleted,
    FeedRecordUpdated,
)
from domain.names import Names
from projections.feed_value import packed
from projections.projection import Placed

Own = tuple[str | int, str | int, str | int, str | int]


class Step(NamedTuple):
    """One record of a partition, as the script takes it."""

    offset: int
    what: str
    own: Own
    value: bytes
    """Of a record that it puts."""
    at: datetime
    """When it happened."""
    digest: bytes
    """Of what the log has."""


def digest_of(value: bytes | None) -> bytes:
    """What the audit's digest of a batch is made of: SHA-256 of each record's value as the log has it."""
    return sha256(value or b"").digest()


class PartOfClient(NamedTuple):
    """What a partition holds of one feed client."""

    partition: int
    client: str


FeedRows = dict[PartOfClient, list[Step]]
"""In the order of the log."""

CHANGE_EVENTS: Final = (
    feed_events.FeedRecordAdded,
    feed_events.FeedRecordUpdated,
    feed_events.FeedRecordDeleted,
    feed_events.FeedChangesReceived,
    feed_events.FeedLoadStarted,
    feed_events.FeedClientErased,
)
BULK_EVENTS: Final = (
    feed_events.FeedLoadOpened,
    feed_events.FeedRecordLoaded,
    feed_events.FeedLoadReceived,
    feed_events.FeedLoadPublished,
    feed_events.FeedLoadFailed,
)
"""FeedClientErased is not among them: from its place among the changes it holds for loads, too."""

INDEX_SCRIPT: Final = """
-- KEYS[3]: how far each client has come. Arguments: fields and offsets.
for field = at, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[field], ARGV[field + 1]) end
"""


class Audiences:
    """A `projection.Projection` in Redis, of the changes; its store is a `feed_store.FeedStore`."""

    name = "audiences"
    topic = "changes"
    """As a client's state names its position."""
    events: tuple[type[Event], ...] = CHANGE_EVENTS
    script = INDEX_SCRIPT

    def __init__(self, names: Names) -> None:
        self.names = names
        self.offsets_key, self.parked_key, clients_key = names.feed_progress(self.topic)
        self.keys: Sequence[str] = (clients_key,)

    def fold(self, events: Sequence[Event], onto: FeedRows | None = None) -> FeedRows:
        """Never called, for it folds by place: an event alone does not say what it stands over."""
        raise NotImplementedError

    def fold_placed(self, placed: Sequence[Placed], onto: FeedRows | None = None) -> FeedRows:
        rows: FeedRows = {} if onto is None else onto
        new, partition, key, client = tuple.__new__, -1, b"", ""
        steps: list[Step] = []
        for record, event in placed:
            if record.key != key or record.partition != partition:
                # Most often it is whose the record before was.
                partition, key = record.partition, record.key or b""
                client = key.decode()
                steps = rows.setdefault(PartOfClient(partition, client), [])
            if not isinstance(event, FeedEvent) or event.client != client:
                raise ValueError(f"the key {key!r} is not the feed client of the event")
            what, own = _TOLD[type(event)]
            value = packed(event) if isinstance(event, FeedRecord) else b""
            steps.append(new(Step, (record.offset, what, own(event), value, event.at, digest_of(record.value))))
        return rows

    async def arguments(self, _redis: Redis, rows: FeedRows) -> Sequence[str | bytes]:
        return [text for part, steps in rows.items() for text in (self.field_of(part), str(steps[-1].offset))]

    def field_of(self, part: PartOfClient) -> str:
        """Where the index of clients has it."""
        return f"{part.partition} {part.client}"


class AudiencesBulk(Audiences):
    """The same of the bulk loads."""

    name = "audiences_bulk"
    topic = "bulk"
    events: tuple[type[Event], ...] = BULK_EVENTS


def _from(event: FeedRecordAdded | FeedRecordUpdated | FeedRecordDeleted | FeedChangesReceived) -> str:
    """Which source has told it, and where: as the script takes it."""
    return "" if event.source is None else f"{event.source.place} {event.source.name}"


_Told = tuple[str, Callable[[Any], Own]]
_TOLD: Final[dict[type[Event], _Told]] = {
    feed_events.FeedRecordLoaded: (
        "loaded",
        lambda event: (event.run_id, event.line, event.key, event.digest),
    ),
    feed_events.FeedRecordAdded: ("put", lambda event: (event.key, "", "", _from(event))),
    feed_events.FeedRecordUpdated: (
        "updated",
        lambda event: (event.old_key, event.key, "", _from(event)),
    ),
    feed_events.FeedRecordDeleted: ("deleted", lambda event: (event.key, "", "", _from(event))),
    feed_events.FeedChangesReceived: (
        "changes_received",
        lambda event: (event.records, event.rejected, event.digest, _from(event)),
    ),
    feed_events.FeedLoadStarted: ("started", lambda event: (event.run_id, event.mode, "", "")),
    feed_events.FeedLoadOpened: (
        "opened",
        lambda event: (event.run_id, event.mode, event.since, int(event.may_be_resumed)),
    ),
    feed_events.FeedLoadReceived: (
        "received",
        lambda event: (event.run_id, event.records, event.rejected, event.digest),
    ),
    feed_events.FeedLoadPublished: ("published", lambda event: (event.run_id, "", "", "")),
    feed_events.FeedLoadFailed: ("failed", lambda event: (event.run_id, event.reason, event.records, event.rejected)),
    feed_events.FeedClientErased: ("erased", lambda _: ("", "", "", "")),
}
"""What the script is to do, and its four arguments."""
