"""What `gavel projections list` shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from projections.queries.generations import GenerationProgress
    from projections.queries.progress import ProjectionStatus

UNKNOWN = "?"


def projections_table(statuses: Iterable[ProjectionStatus]) -> Table:
    """A line for each projection; its figures fit a terminal of 80 columns."""
    table = folding_table(
        "projection", "gen", "status", "lag", "seconds", "events/s", "letters", "workers", texts={"status"}
    )
    for each in statuses:
        table.add_row(
            each.name,
            _count(each.generation),
            each.status,
            _count(each.lag),
            _seconds(each.lag_seconds),
            f"{each.events_per_second:,.0f}",
            f"{each.dead_letters:,}",
            str(len({worker.worker for worker in each.workers})),
        )
    return table


def notes(statuses: Iterable[ProjectionStatus]) -> Iterator[str]:
    """What else there is to say: why one is stopped, which consumers had successors, and the other generations."""
    for each in statuses:
        if each.reason is not None:
            yield f"{each.name} is stopped: {each.reason}"
        for worker in each.workers:
            if worker.restarts:
                because = f", because {worker.restarted_because}" if worker.restarted_because else ""
                yield f"{each.name}: {worker.worker} has started {worker.restarts} consumers anew{because}"
        for built in each.generations:
            if built.status != "active":
                yield f"{each.name}: generation {built.generation} is {built.status}{_told(built)}"


def partitions_table(statuses: Iterable[ProjectionStatus]) -> Table:
    """A line for each partition of each projection."""
    texts = {"partition", "worker"}
    table = folding_table("projection", "partition", "next offset", "lag", "seconds", "worker", texts=texts)
    for each in statuses:
        for at in each.partitions:
            where = f"{at.topic}/{at.partition}"
            figures = (_count(at.next_offset), _count(at.lag), _seconds(at.lag_seconds))
            table.add_row(each.name, where, *figures, at.owner or "nobody")
    return table


def folding_table(first: str, *columns: str, texts: set[str]) -> Table:
    """Figures to the right; what is too long is folded, never cut."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in (first, *columns):
        table.add_column(name, justify="left" if name in texts | {first} else "right", overflow="fold")
    return table


def _told(built: GenerationProgress) -> str:
    """How far a generation is, and what it waits for."""
    told = f", {built.done:,} of {built.total:,} events" if built.status == "building" else ""
    if built.events_per_second is not None and built.seconds_left is not None:
        told += f", {built.events_per_second:,.0f} events/s, {built.seconds_left:,.0f} s left"
    if built.dead_letters:
        told += f", {built.dead_letters:,} dead letters"
    if not built.of_this_version:
        told += ", built by another version"
    if built.reason is not None:
        told += f"; stopped: {built.reason}"
    return told if built.waits is None else f"{told}; waits: {built.waits}"


def _count(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"


def _seconds(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else f"{seconds:,.1f}"
