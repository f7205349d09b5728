"""The tables: on the terminal while measuring, and as `bench/RESULTS.md`."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from bench import machine
from bench.cost import Comparison, Cost, median_of

RESULTS = Path(__file__).with_name("RESULTS.md")
BEFORE = Path(__file__).with_name("BEFORE.md")
"""What one run cannot measure: the same figures before and after a change, kept by hand."""
MANY = 1_000


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement's part of the results."""

    title: str
    method: str
    """One sentence per line: what ran, for how long, what was counted."""
    comparisons: Sequence[Comparison]
    """All of one unit, and all ratios of costs or all of rates."""
    notes: Sequence[str] = ()
    """What a reader must know beside the figures, for instance a peer that could not run."""


def headings(section: Section) -> tuple[str, ...]:
    """Of the columns that `cells` fills."""
    first = section.comparisons[0]
    return (
        "what",
        "Gavel",
        "against",
        f"ratio of {first.ratio_of}, CPU",
        "the same, wall",
        "to reach",
        f"CPU µs per {first.unit}",
        "wall µs",
        "p50 / p99 ms",
    )


def cells(comparison: Comparison) -> tuple[str, ...]:
    """A comparison as one row."""
    return (
        comparison.what,
        comparison.subject,
        comparison.peer,
        _spread(comparison.cpu_ratios),
        _spread(comparison.wall_ratios),
        _verdict(comparison),
        _pair(comparison, lambda cost: cost.cpu_us),
        _pair(comparison, lambda cost: cost.wall_us),
        _latencies(comparison),
    )


def show(section: Section, console: Console) -> None:
    """The section on the terminal."""
    console.print(f"\n[bold]{section.title}[/bold]")
    table = Table(*headings(section), box=box.SIMPLE_HEAD, pad_edge=False)
    for comparison in section.comparisons:
        table.add_row(*cells(comparison))
    console.print(table)
    for note in section.notes:
        console.print(note)


def write(sections: Iterable[Section], *, seconds: float) -> Path:
    """All sections of one run into RESULTS.md; returns its path."""
    RESULTS.write_text("\n".join(_lines(sections, seconds=seconds)) + "\n")
    return RESULTS


def _lines(sections: Iterable[Section], *, seconds: float) -> Iterable[str]:
    yield "# Results"
    yield ""
    yield f"Measured on {datetime.now(UTC):%Y-%m-%d} in one run of {seconds / 60:.0f} minutes: {machine.describe()}."
    yield "`make bench` measures it again and writes this page."
    yield ""
    yield "The same machine carried broker, database, Redis, bidders and load, so CPU time says more than wall time."
    yield "Gavel and its peer took turns; a ratio is the median of the rounds' ratios, its range in brackets."
    yield "CPU µs and wall µs are medians, Gavel : peer; wall time is a round's, divided by the operations in it."
    yield "A ratio of costs is Gavel's time over the peer's: smaller is better."
    yield "A ratio of rates (so many a second) is the other way round: larger is better."
    for section in sections:
        yield ""
        yield f"## {section.title}"
        yield ""
        yield section.method
        yield ""
        yield from markdown_table(headings(section), [cells(each) for each in section.comparisons])
        for note in section.notes:
            yield ""
            yield note
    yield ""
    yield BEFORE.read_text().rstrip()


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{' --- |' * len(headings)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def figures_table(console: Console, title: str, headings: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    """A plain table on the terminal, one named row each."""
    show_rows(console, title, ("", *headings), [(name, *row) for name, row in rows.items()])


def show_rows(console: Console, title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A plain table on the terminal."""
    table = Table(*headings, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _verdict(comparison: Comparison) -> str:
    target = comparison.target
    if target is None:
        return ""
    return f"{target} of {comparison.judged_by} {'✓' if target.is_met(comparison.ratio) else '✗'}"


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def _pair(comparison: Comparison, figure: Callable[[Cost], float]) -> str:
    subject = median_of(comparison.subject_rounds, figure)
    peer = median_of(comparison.peer_rounds, figure)
    return f"{_short(subject)} : {_short(peer)}"


def _short(microseconds: float) -> str:
    return f"{microseconds:,.0f}" if microseconds >= MANY / 10 else f"{microseconds:.1f}"


def _latencies(comparison: Comparison) -> str:
    return " : ".join(
        f"{median_of(rounds, _p50):.1f} / {median_of(rounds, _p99):.1f}"
        for rounds in (comparison.subject_rounds, comparison.peer_rounds)
        if all(cost.latencies for cost in rounds)
    )


def _p50(cost: Cost) -> float:
    assert cost.latencies is not None
    return cost.latencies.p50_ms


def _p99(cost: Cost) -> float:
    assert cost.latencies is not None
    return cost.latencies.p99_ms
