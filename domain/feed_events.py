"""What can have happened to the records of feed clients; the rules of `domain/events.py` hold.

All are keyed by the feed client's id.

- `gavel.feeds.bulk`: FeedRecordLoaded, FeedLoad… but FeedLoadStarted.
- `gavel.feeds.changes`: FeedRecordAdded, …Updated, …Deleted, FeedChangesReceived, FeedLoadStarted, FeedClientErased.
"""

from __future__ import annotations

from datetime import datetime

from domain.event_parts import FeedMode, FeedSource
from domain.events import Event


class FeedEvent(Event, frozen=True, kw_only=True):
    """What became of the records of the feed client with the id `client`: one partition number in both topics."""

    client: str


class FeedRecord(FeedEvent, frozen=True, kw_only=True):
    """A record as it stands from now on; of two under one key `domain/feeds/` tells which one counts."""

    key: str
    key_id: str
    """Which of the client's data keys it is sealed with."""
    ciphertext: bytes
    """The nonce, and the value sealed for this client, topic and key: see `domain/feeds/sealing.py`."""
    expires_at: datetime | None = None
    """UTC, excluded: from then on nobody finds it. None: it stays."""


class FeedRecordAdded(FeedRecord, frozen=True, kw_only=True):
    """A change: the record stands under `key`, whatever stood there before."""

    source: FeedSource | None = None
    """None: nobody tells it a second time, or it is meant then."""


class FeedRecordUpdated(FeedRecord, frozen=True, kw_only=True):
    """A change: the record under `old_key` is gone, the one under `key` stands, both at once."""

    old_key: str
    source: FeedSource | None = None


class FeedRecordDeleted(FeedEvent, frozen=True, kw_only=True):
    """A change: the record under `key` is gone."""

    key: str
    source: FeedSource | None = None


class FeedChangesReceived(FeedEvent, frozen=True, kw_only=True):
    """What came of a source beside its changes: of an upload at its end, of a connector for each message refused."""

    records: int
    """Of an upload, changes that it had; what they say stands before this."""
    rejected: int
    """What was no change and is not in the log."""
    source: FeedSource | None = None
    digest: str = ""
    """Of an upload with a name, of its changes: see `domain/feeds/upload_digest.py`."""


class FeedRun(FeedEvent, frozen=True, kw_only=True):
    """A step in the life of one bulk load."""

    run_id: str


class FeedLoadStarted(FeedRun, frozen=True, kw_only=True):
    """Stands among the changes: this event's offset there is the load's place in their order."""

    mode: FeedMode


class FeedLoadOpened(FeedRun, frozen=True, kw_only=True):
    """The first of a load in the bulk topic. An open load of the client that started before it is superseded."""

    mode: FeedMode
    since: int
    """Offset of its FeedLoadStarted in the partition of the same number among the changes."""
    may_be_resumed: bool = True
    """Its sender has named it; else nobody can go on with it once its upload has ended."""


class FeedRecordLoaded(FeedRecord, frozen=True, kw_only=True):
    """One record of a load; `line` counts the upload's lines, or an Avro file's records, from 1."""

    run_id: str
    line: int
    digest: str = ""
    """Of the upload's records up to this one: see `domain/feeds/upload_digest.py`."""


class FeedLoadReceived(FeedRun, frozen=True, kw_only=True):
    """The upload is complete: `records` of its records stand before this, `rejected` ones are not in the log."""

    records: int
    rejected: int
    digest: str = ""
    """Of all its records."""


class FeedLoadPublished(FeedRun, frozen=True, kw_only=True):
    """The load counts for good; one that replaces takes the place of all that was there. The first decision counts."""


class FeedLoadFailed(FeedRun, frozen=True, kw_only=True):
    """The load came to nothing. What a merging one has brought stays; a replacing one's records go."""

    reason: str
    """A sentence for a person."""
    records: int = 0
    """Of an upload that broke off: those that stand before this."""
    rejected: int = 0
    """Lines of such an upload that were no records and are not in the log."""


class FeedClientErased(FeedEvent, frozen=True, kw_only=True):
    """The client's data keys are destroyed and its records gone, for ever, those of loads begun before as well."""
