"""What `gavel projections list` shows."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from projections.queries.generations import GenerationProgress
from projections.queries.progress import ProjectionStatus

UNKNOWN = "?"


def projections_table(statuses: Iterable[ProjectionStatus]) -> Table:
    """A line for each projection, and one for each of its generations that queries do not read."""
    table = Table("projection")
    for column in (
        "generation",
        "status",
        "lag",
        "seconds",
        "events/s",
        "dead letters",
        "workers",
        "restarts",
        "reason",
    ):
        table.add_column(column, justify="left" if column in {"status", "reason"} else "right")
    for each in statuses:
        table.add_row(
            each.name,
            str(each.generation),
            each.status,
            _count(each.lag),
            _seconds(each.lag_seconds),
            f"{each.events_per_second:,.0f}",
            f"{each.dead_letters:,}",
            str(len({worker.worker for worker in each.workers})),
            str(each.restarts),
            each.reason or "",
        )
        for built in each.generations:
            if built.status != "active":
                letters = f"{built.dead_letters:,}"
                table.add_row("", str(built.generation), built.status, "", "", "", letters, "", "", _told(built))
    return table


def partitions_table(statuses: Iterable[ProjectionStatus]) -> Table:
    """A line for each partition of each projection."""
    table = Table("projection", "topic")
    for column in ("partition", "next offset", "log's end", "lag", "seconds", "worker"):
        table.add_column(column, justify="left" if column == "worker" else "right")
    for each in statuses:
        for at in each.partitions:
            table.add_row(
                each.name,
                at.topic,
                str(at.partition),
                f"{at.next_offset:,}",
                _count(at.high_watermark),
                _count(at.lag),
                _seconds(at.lag_seconds),
                at.owner or "nobody",
            )
    return table


def _told(built: GenerationProgress) -> str:
    """How far a generation is, and what it waits for."""
    told = f"{built.done:,} of {built.total:,} events"
    if built.events_per_second is not None and built.seconds_left is not None:
        told += f", {built.events_per_second:,.0f} events/s, {built.seconds_left:,.0f} s left"
    if built.reason is not None:
        told += f"; stopped: {built.reason}"
    return told if built.waits is None else f"{told}; waits: {built.waits}"


def _count(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"


def _seconds(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else f"{seconds:,.1f}"
