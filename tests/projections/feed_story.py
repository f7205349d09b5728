"""A feed client's events as they come into the log, and its records as a reader finds them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from domain import feed_events
from domain.codec import encode
from domain.event_parts import FeedMode
from domain.events import Event
from projections.feed_audit import FeedAudit
from projections.queries.feed_audit import AuditShown, feed_audit_of
from projections.queries.feed_records import FeedRecords
from projections.servers import Servers
from tests.projections.conftest import ReadSide

AT = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)
FIGURES = ("adds", "overwrites", "updates", "deletes", "stale", "rejected")


class FeedStory:
    """One client. The ciphertexts are plain names here: Redis keeps what it is given."""

    def __init__(self, read_side: ReadSide, client: str) -> None:
        self._read_side = read_side
        self.client = client

    async def add(self, key: str, name: str) -> None:
        await self.change(feed_events.FeedRecordAdded, key=key, key_id="k1", ciphertext=name.encode())

    async def update(self, old_key: str, key: str, name: str) -> None:
        sealed = name.encode()
        await self.change(feed_events.FeedRecordUpdated, old_key=old_key, key=key, key_id="k1", ciphertext=sealed)

    async def delete(self, key: str) -> None:
        await self.change(feed_events.FeedRecordDeleted, key=key)

    async def start(self, run_id: str, mode: FeedMode = "merge") -> None:
        since = await self.change(feed_events.FeedLoadStarted, run_id=run_id, mode=mode)
        await self.bulk(feed_events.FeedLoadOpened, run_id=run_id, mode=mode, since=since)

    async def load(self, run_id: str, line: int, key: str, name: str) -> None:
        sealed = name.encode()
        await self.bulk(feed_events.FeedRecordLoaded, run_id=run_id, line=line, key=key, key_id="k1", ciphertext=sealed)

    async def publish(self, run_id: str) -> None:
        await self.bulk(feed_events.FeedLoadPublished, run_id=run_id)

    async def bulk_received(self, run_id: str, records: int, rejected: int = 0) -> None:
        await self.bulk(feed_events.FeedLoadReceived, run_id=run_id, records=records, rejected=rejected)

    async def change_later(self, key: str, name: str) -> None:
        """A record that is on its way; flush the log."""
        await self._read_side.log.send_bytes(self._read_side.names.feeds_changes, self.client, self.added(key, name))

    def added(self, key: str, name: str) -> bytes:
        """What `add` logs."""
        return encode(feed_events.FeedRecordAdded(**self._head(), key=key, key_id="k1", ciphertext=name.encode()))

    async def change(self, event: type[Event], **fields: Any) -> int:
        return await self._append(self._read_side.names.feeds_changes, event, fields)

    async def bulk(self, event: type[Event], **fields: Any) -> int:
        return await self._append(self._read_side.names.feeds_bulk, event, fields)

    async def poison(self, topic: str) -> None:
        """Something that nobody can read, under the client's key."""
        await self._read_side.log.append_bytes(topic, self.client, b'{"type":"feed_record_added","v":1}')

    async def records(self, *keys: str) -> dict[str, str]:
        found = await FeedRecords(self._read_side.redis, self._read_side.names).of(self.client, keys, now=AT)
        return {key: each.ciphertext.decode() for key, each in zip(keys, found, strict=True) if each is not None}

    async def counted(self) -> dict[str, int]:
        """The sums of the audit, once all of it is in Postgres."""
        async with Servers(self._read_side.addresses, client_id="test") as servers:
            await FeedAudit(servers.redis, servers.pool, servers.names).bring()
        totals = (await self.audit()).totals
        return {figure: getattr(totals, figure) for figure in FIGURES}

    async def audit(self) -> AuditShown:
        return await feed_audit_of(self._read_side.db, self._read_side.redis, self._read_side.names, self.client)

    async def forgotten(self) -> None:
        """Redis loses what it knew of this client, and of no other."""
        pattern = self._read_side.names.feed_state(self.client).removesuffix("state") + "*"
        async for key in self._read_side.redis.scan_iter(pattern):
            await self._read_side.redis.delete(key)

    async def _append(self, topic: str, event: type[Event], fields: dict[str, Any]) -> int:
        made = event(**self._head(), **fields)
        logged = await self._read_side.log.append_bytes(topic, self.client, encode(made))
        return int(logged.offset)

    def _head(self) -> dict[str, Any]:
        return {"id": "e", "at": AT, "correlation_id": self.client, "causation_id": "c", "client": self.client}
