"""What a bulk load has come to, and whether it may be published: decided once, by figures that follow from the log."""

from __future__ import annotations

from typing import Literal

import msgspec

from domain.catalogue import FeedClient
from domain.event_parts import FeedMode

RunStatus = Literal["receiving", "loading", "published", "failed", "superseded"]
PERCENT = 100


class Run(msgspec.Struct, frozen=True, array_like=True):
    """A bulk load, as far as the consumer has come in the log; in Redis an array in this order."""

    since: int
    """Its place among the changes; -1 of one that failed before it was opened."""
    mode: FeedMode
    status: RunStatus
    loaded: int
    """Records of it that were met in the log, those included that a change stands over."""
    duplicates: int
    """Of these, in a load that replaces: another one of the same key came before."""
    received: int
    """Records that its upload had, once that was complete."""
    rejected: int
    """Lines of the upload that were no records, likewise."""
    next_line: int
    """The line that a resumed upload goes on with."""
    reason: str
    """Why it failed."""
    digest: str = ""
    """Of its records up to the one before `next_line`."""
    may_be_resumed: bool = True
    """By who sends the upload again; else it is over when nothing more comes of it."""

    @property
    def is_decidable(self) -> bool:
        """Everything received was met in the log, and nobody has decided.

        The end of the upload stands behind its records, in the same partition: whoever has met it has met them all.
        """
        return self.status == "loading"

    @property
    def parked(self) -> int:
        """Records, once it is decidable, that could not be applied: they are dead letters."""
        return max(0, self.received - self.loaded)


def is_compared(run: Run, terms: FeedClient) -> bool:
    """Whether it matters how many records there are before it."""
    return run.mode == "replace" and terms.allowed_shrinkage_percent is not None


def objection(run: Run, terms: FeedClient, *, records_before: int) -> str | None:
    """Why the load must not be published, as a sentence; None: it may. The figures are those of a decidable run.

    A load that merges takes nothing away, so only what its upload is like can speak against it.
    """
    sent, unreadable = run.received + run.rejected, run.rejected + run.parked
    if terms.unreadable_percent is not None and unreadable * PERCENT > terms.unreadable_percent * sent:
        stays = " What was merged stays." if run.mode == "merge" else ""
        return f"{unreadable} of {sent} records were refused, more than {terms.unreadable_percent} percent.{stays}"
    return _objection_to_replacing(run, terms, records_before) if run.mode == "replace" else None


def _objection_to_replacing(run: Run, terms: FeedClient, records_before: int) -> str | None:
    unread = run.rejected + run.parked
    if unread and terms.unreadable_percent is None:
        sent = run.received + run.rejected
        return f"{unread} of {sent} records were refused or could not be applied: their keys would be missing."
    if run.duplicates:
        return f"{run.duplicates} records have a key that another record of the load has."
    if terms.minimum_records is not None and run.loaded < terms.minimum_records:
        return f"There are {run.loaded} records, and at least {terms.minimum_records} have to be."
    if not run.loaded and terms.minimum_records is None:
        return "There is no record in it, and a `minimum_records` of 0 does not say that this may be."
    shrinkage = terms.allowed_shrinkage_percent
    if shrinkage is not None and (records_before - run.loaded) * PERCENT > shrinkage * records_before:
        return f"{run.loaded} records would replace {records_before}: more than {shrinkage} percent would be lost."
    return None
