"""What one worker process has in hand, written down every two seconds: who reads which partition, and how fast.

Ownership itself is the consumer groups' affair; this is how people see it, beside what Kafka does not know.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog

from domain.errors import Unavailable
from projections.engine import Projector
from projections.postgres_store import Pool, connected

REPORT_S = 2.0
ANSWER_S = 3.0
"""Postgres has no longer for it: nobody who stops a worker should wait for a report."""
FORGOTTEN = "1 hour"
"""So long the last words of a worker that died are kept."""

REPORT = """
INSERT INTO projection_workers
    (worker, projection, generation, partitions, events_per_second, restarts, restarted_because, reported_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now())
ON CONFLICT (worker, projection, generation) DO UPDATE SET
    partitions = excluded.partitions, events_per_second = excluded.events_per_second, restarts = excluded.restarts,
    restarted_because = excluded.restarted_because, reported_at = excluded.reported_at
"""
FORGET = f"""
DELETE FROM projection_workers
WHERE worker = $1 AND NOT (projection || '/' || generation) = ANY($2) OR reported_at < now() - interval '{FORGOTTEN}'
"""  # noqa: S608 - nothing but a constant is put in

log = structlog.stdlib.get_logger(__name__)

Key = tuple[str, int]
"""A projection and the number of a generation."""


class _Post:
    """One generation that the process works on."""

    def __init__(self) -> None:
        self.projector: Projector[Any] | None = None
        self.restarts = 0
        self.restarted_because: str | None = None
        self.applied_before = 0
        """By earlier consumers than the present one."""
        self.applied_told = 0

    @property
    def applied(self) -> int:
        return self.applied_before + (self.projector.applied if self.projector else 0)


class Roster:
    """Of one process. It says nothing while Postgres is away, and nobody waits for it."""

    def __init__(self, pool: Pool) -> None:
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        """How people know the process."""
        self._pool = pool
        self._posts: dict[Key, _Post] = {}
        self._told_at = time.monotonic()

    def __repr__(self) -> str:
        return f"Roster({self.worker!r}, {sorted(self._posts)})"

    @contextmanager
    def listed(self, projection: str, generation: int, projector: Projector[Any]) -> Iterator[None]:
        """While inside, this consumer does the work."""
        post = self._posts.setdefault((projection, generation), _Post())
        post.projector = projector
        try:
            yield
        finally:
            post.applied_before += projector.applied
            post.projector = None

    def restarted(self, projection: str, generation: int, because: str | None) -> None:
        """A consumer has ended, and another one takes its place."""
        post = self._posts.setdefault((projection, generation), _Post())
        post.restarts += 1
        post.restarted_because = because

    def left(self, projection: str, generation: int) -> None:
        """The process does not work on it any more."""
        self._posts.pop((projection, generation), None)

    async def run(self, stop: asyncio.Event) -> None:
        """Reports until `stop` is set, and takes its leave."""
        while not stop.is_set():
            await self._report()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), REPORT_S)
        self._posts.clear()
        await self._report()

    async def _report(self) -> None:
        rows = self._rows()
        try:
            async with asyncio.timeout(ANSWER_S), connected(self._pool) as connection:
                await connection.executemany(REPORT, rows)
                await connection.execute(FORGET, self.worker, [f"{name}/{number}" for _, name, number, *_ in rows])
        except (Unavailable, TimeoutError) as away:
            log.debug("not reported", error=repr(away))

    def _rows(self) -> list[tuple[Any, ...]]:
        now = time.monotonic()
        elapsed_s, self._told_at = now - self._told_at, now
        rows = []
        for (name, number), post in sorted(self._posts.items()):
            applied = post.applied
            rate = (applied - post.applied_told) / elapsed_s if elapsed_s else 0.0
            post.applied_told = applied
            partitions = post.projector.partitions if post.projector else ()
            read = [f"{tp.topic}/{tp.partition}" for tp in sorted(partitions or ())]
            rows.append((self.worker, name, number, read, rate, post.restarts, post.restarted_because))
        return rows
