"""Decide what becomes of a bulk load: published, failed by its figures, or given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypedDict

from commands.feeds.intake import Runs
from commands.ports import Clock, EventLog, Ids
from domain.catalogue import FeedClient
from domain.feed_events import FeedLoadFailed, FeedLoadPublished, FeedRun
from domain.feeds.runs import is_compared, objection
from domain.names import Names

TermsOf = Callable[[str], Awaitable[FeedClient | None]]
"""By a client's id. Raises Unavailable."""
RecordsBefore = Callable[[str], Awaitable[int]]
"""How many records a reader finds of the client now. Raises Unavailable."""


class _Head(TypedDict):
    id: str
    at: datetime
    correlation_id: str
    causation_id: str
    client: str
    run_id: str


class DecideRun:
    """The outcome of a run is an event, so that nobody who reads the log again decides again; the first one counts."""

    def __init__(
        self,
        *,
        log: EventLog,
        names: Names,
        runs: Runs,
        terms_of: TermsOf,
        records_before: RecordsBefore,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._log = log
        self._names = names
        self._runs = runs
        self._terms_of = terms_of
        self._records_before = records_before
        self._clock = clock
        self._ids = ids

    async def __call__(self, client: str, run_id: str) -> bool:
        """Publishes or fails the run once all of it was met; False where that is still to come.

        One that is compared with what there is waits until the changes before it are applied, which are part of that.
        Decided twice, by two processes, it is decided as the first one did. Raises LogUnavailable, Overloaded and
        Unavailable.
        """
        run = await self._runs.find(client, run_id)
        if run is None or run.status == "receiving":
            return False
        terms = await self._terms_of(client)
        if not run.is_decidable or terms is None:
            return True
        before = 0
        if is_compared(run, terms):
            if await self._runs.changes_met(client) < run.since:
                return False
            before = await self._records_before(client)
        reason = objection(run, terms, records_before=before)
        if reason is None:
            await self._write(client, FeedLoadPublished(**self._head(client, run_id)))
        else:
            await self.give_up(client, run_id, reason)
        return True

    async def give_up(self, client: str, run_id: str, reason: str) -> None:
        """Ends a run as failed, unless it was decided before; it need not have been opened.

        Raises LogUnavailable, Overloaded.
        """
        await self._write(client, FeedLoadFailed(**self._head(client, run_id), reason=reason))

    async def _write(self, client: str, event: FeedRun) -> None:
        await self._log.append(self._names.feeds_bulk, client, [event])

    def _head(self, client: str, run_id: str) -> _Head:
        return _Head(
            id=self._ids(),
            at=self._clock.now(),
            correlation_id=client,
            causation_id=run_id,
            client=client,
            run_id=run_id,
        )
