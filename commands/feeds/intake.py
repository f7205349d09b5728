"""What the two ways into a feed share: who sends, what is answered, how values are sealed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from commands.ports import Position
from domain.catalogue import FeedClient
from domain.errors import Fault, InvalidInput
from domain.feeds import inflation
from domain.feeds.records import Reason
from domain.feeds.runs import Run
from domain.feeds.sealing import NONCE_BYTES, DataKey, FeedTopic, digest_key, seal
from domain.feeds.upload import BrokenUpload
from domain.feeds.upload_digest import UploadDigest
from domain.limits import FEED_REJECTED_LISTED_MAX

EVENT_BYTES = 400
"""Of an event beside its key and its sealed value."""

Sealing = Callable[[str], Awaitable[DataKey]]
"""The data key that a client's values are sealed with now. Raises Conflict for an erased client, Unavailable."""
FirstKey = Callable[[str], Awaitable[DataKey]]
"""The data key that the client had first, kept until it is erased. Raises as Sealing."""


class UploadCut(Exception):
    """Raised by an upload's chunks: its sender hung up before the end, or is not listened to any more.

    Without a word it was the sender; else it says why.
    """


class Sender(NamedTuple):
    """The feed client that an upload is of."""

    id: str
    terms: FeedClient


class Rejected(NamedTuple):
    line: int
    reason: Reason


class Received(NamedTuple):
    """What became of an upload."""

    run_id: str
    received: int
    rejected: int
    errors: tuple[Rejected, ...]
    """The first FEED_REJECTED_LISTED_MAX of those that were rejected."""
    logged_at: Position | None = None
    """Of the last event, where there is one and the log has said where it stands."""


class Interrupted(Exception):
    """An upload that could be read and was not taken to its end: its cause says why."""

    def __init__(self, received: Received) -> None:
        super().__init__(received.run_id)
        self.received = received
        """Of that, what is known to be in the log."""


class BrokenOff(InvalidInput):
    """An upload that cannot be read to its end, by why and the lines that were refused before."""

    def __init__(self, why: str, received: Received) -> None:
        super().__init__([Fault("", why), *(Fault(f"line {each.line}", str(each.reason)) for each in received.errors)])
        self.received = received
        """What it had until there, which is in the log."""


class TooDense(BrokenOff):
    """What was sent grows by unpacking as nobody's records do."""


class Runs(Protocol):
    """What the consumer has seen of bulk loads."""

    async def find(self, client: str, run_id: str) -> Run | None:
        """None for one that it has not met. Raises Unavailable."""
        ...

    async def changes_met(self, client: str) -> int:
        """The offset of the client's last change, or start of a load, that is applied; -1: none. Raises Unavailable."""
        ...


class Tally:
    """Counts the lines of an upload."""

    def __init__(self) -> None:
        self.received = 0
        self.rejected = 0
        self._errors: list[Rejected] = []

    def __repr__(self) -> str:
        return f"Tally({self.received} received, {self.rejected} rejected)"

    def reject(self, line: int, reason: Reason) -> None:
        self.rejected += 1
        if len(self._errors) < FEED_REJECTED_LISTED_MAX:
            self._errors.append(Rejected(line, reason))

    def outcome(self, run_id: str, logged_at: Position | None, *, unwritten: int = 0) -> Received:
        """`unwritten` of what it has counted as received may be missing in the log."""
        received = max(0, self.received - unwritten)
        return Received(run_id, received, self.rejected, tuple(self._errors), logged_at)


class Sealer:
    """Seals the values of one upload. Renew it every few records, so that a rotation and an erasure reach it."""

    def __init__(self, sealing: Sealing, client: str, topic: FeedTopic) -> None:
        self._sealing = sealing
        self._client = client
        self._topic = topic
        self._data_key: DataKey | None = None

    def __repr__(self) -> str:
        return f"Sealer({self._client!r}, {self._data_key!r})"

    async def renew(self) -> None:
        """Raises Conflict for an erased client, Unavailable."""
        self._data_key = await self._sealing(self._client)

    def sealed(self, key: str, value: bytes) -> tuple[str, bytes]:
        """The data key's id, and what only it opens."""
        assert self._data_key is not None, "renew it first"
        nonce = os.urandom(NONCE_BYTES)
        secret = self._data_key.secret
        sealed = seal(value, data_key=secret, nonce=nonce, client=self._client, topic=self._topic, key=key)
        return self._data_key.id, sealed


def refusal(broken: BrokenUpload, received: Received) -> BrokenOff:
    """Of an upload that cannot be read to its end."""
    error = TooDense if isinstance(broken.__cause__, inflation.TooDense) else BrokenOff
    return error(str(broken), received)


async def digest_of(first_key: FirstKey, client: str, topic: FeedTopic, upload: str) -> UploadDigest:
    """Of an upload's records, as none of them has come yet. Raises Conflict for an erased client, Unavailable."""
    return UploadDigest(digest_key(await first_key(client), client=client, topic=topic, upload=upload))


def named_run(client: str, idempotency_key: str) -> str:
    """The run that a client means by an `Idempotency-Key`: the same for every process, another for every client."""
    return hashlib.sha256(f"{len(client)}:{client}{idempotency_key}".encode()).hexdigest()[:32]


def expiry(terms: FeedClient, at: datetime) -> datetime | None:
    """Until when a record is found that was loaded at that moment."""
    return None if terms.ttl_seconds is None else at + timedelta(seconds=terms.ttl_seconds)


def size_of(key: str, sealed: bytes) -> int:
    """About how long the event is that carries them."""
    return EVENT_BYTES + len(key) + len(sealed) * 4 // 3
