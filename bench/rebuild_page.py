"""What a rebuild while everyone reads comes to, in words and tables: on the terminal, and as `bench/REBUILD.md`."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.filesize import decimal

from bench import machine, report
from bench.cost import Comparison, Cost, Target, median_of
from bench.followed_build import Sample
from bench.installation import PARTITIONS
from bench.live_traffic import Traffic
from bench.polled_readers import Watched
from bench.size import Size

RESULTS = Path(__file__).with_name("REBUILD.md")
MEMORY_TARGET = Target("≤", 1.1)
BUILD_HEADINGS = ("events", "seconds", "events/s", "CPU µs per event", "disk said before", "disk taken")
PROCESSES_HEADINGS = ("", "ratio of CPU per event", "to reach", "CPU µs per event", "events/s")
READER_HEADINGS = ("answers", "with news", "slowest", "errors, gaps and steps back")
BARS = "▁▂▃▄▅▆▇█"
BARS_SHOWN = 60
MEMORY_ROWS = 10
MIB = 2**20


class Told(NamedTuple):
    """One build, as a row of the page."""

    cost: Cost
    """Without CPU time where nobody could measure it."""
    said_bytes: int | None
    """Disk that it would take, as it was told before it began; None of a first build."""
    taken_bytes: int

    def cells(self) -> list[str]:
        return [
            f"{self.cost.operations:,}",
            f"{self.cost.wall_seconds:,.1f}",
            f"{1e6 / self.cost.wall_us:,.0f}",
            f"{self.cost.cpu_us:.1f}" if self.cost.cpu_seconds else "",
            "" if self.said_bytes is None else decimal(self.said_bytes),
            decimal(self.taken_bytes),
        ]


class Part(NamedTuple):
    """What the terminal and the page say of one question."""

    title: str
    says: Sequence[str]
    """One sentence each."""
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


class Outcome(NamedTuple):
    """All that the page tells."""

    builds: Mapping[str, Told]
    memory: Sequence[Sample]
    processes: Comparison
    readers: Sequence[Watched]
    sent: Traffic


def show(size: Size, outcome: Outcome, console: Console) -> None:
    """On the terminal."""
    for part in _parts(size, outcome):
        report.show_rows(console, part.title, part.headings, part.rows)
        console.print("\n".join(part.says), highlight=False)


def write(size: Size, outcome: Outcome) -> None:
    """Into REBUILD.md."""
    RESULTS.write_text("\n".join(_page(size, _parts(size, outcome))) + "\n")


def _parts(size: Size, outcome: Outcome) -> Sequence[Part]:
    return (
        Part(
            title="Builds",
            says=(
                "Every rebuilt generation was compared with the active one row for row, and was equal.",
                "Then it was swapped, swapped back and swapped again, and the old one retired.",
                "CPU is that of the one worker process, live events included; readers, API and servers ran beside it.",
                "What a rebuild will take on disk is told before it begins; what it took stands beside it.",
            ),
            headings=("", *BUILD_HEADINGS),
            rows=[(name, *each.cells()) for name, each in outcome.builds.items()],
        ),
        Part(
            title="Readers",
            says=(
                "Each polled all the time, over both swaps and the swap back.",
                "Figures that can only grow were compared with the answer before; rows have to add up to totals.",
                f"{size.rebuild_live_rate} auctions and pixels a second came in over HTTP meanwhile.",
                f"{outcome.sent.answered:,} of them were answered, and {outcome.sent.refused:,} refused.",
            ),
            headings=("", *READER_HEADINGS),
            rows=[_reader(each) for each in outcome.readers],
        ),
        _memory(outcome.memory),
        Part(
            title="One process and two",
            says=(
                f"{size.rebuild_rounds} rounds in turn, {size.rebuild_window_events:,} events of a rebuild each.",
                "A round begins when all processes have their share of the partitions.",
                "Neither traffic nor readers ran beside them; CPU is that of all worker processes together.",
            ),
            headings=PROCESSES_HEADINGS,
            rows=[_compared(outcome.processes)],
        ),
    )


def _reader(reader: Watched) -> tuple[str, ...]:
    slowest = f"{reader.slowest_seconds * 1e3:,.0f} ms"
    return reader.name, f"{reader.answers:,}", f"{reader.news:,}", slowest, f"{reader.faults:,}"


def _memory(samples: Sequence[Sample]) -> Part:
    ratio = growth(samples)
    step = len(samples) / MEMORY_ROWS
    shown = [samples[min(len(samples) - 1, round((row + 1) * step) - 1)] for row in range(MEMORY_ROWS)]
    return Part(
        title="Memory",
        says=(
            "Resident memory of the worker process that was measured, over its first build and the rebuild.",
            f"The last tenth of the events against the second tenth: {ratio:.2f}, {_judged(MEMORY_TARGET, ratio)}.",
            f"`{picture(samples)}`, from nothing to {max(each.resident_bytes for each in samples) / MIB:,.0f} MiB.",
        ),
        headings=("events applied", "resident"),
        rows=[(f"{each.applied:,}", f"{each.resident_bytes / MIB:,.1f} MiB") for each in shown],
    )


def _compared(comparison: Comparison) -> tuple[str, ...]:
    def pair(figure: Callable[[Cost], float], digits: int) -> str:
        subject, peer = (median_of(each, figure) for each in (comparison.subject_rounds, comparison.peer_rounds))
        return f"{subject:,.{digits}f} : {peer:,.{digits}f}"

    ratios = comparison.cpu_ratios
    return (
        comparison.what,
        f"{comparison.ratio:.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
        "" if comparison.target is None else _judged(comparison.target, comparison.ratio),
        pair(lambda cost: cost.cpu_us, 1),
        pair(lambda cost: 1e6 / cost.wall_us, 0),
    )


def _judged(target: Target, ratio: float) -> str:
    return f"{target} {'✓' if target.is_met(ratio) else '✗'}"


def _page(size: Size, parts: Sequence[Part]) -> Iterator[str]:
    yield "# A rebuild while everyone reads"
    yield ""
    yield f"Measured on {datetime.now(UTC):%Y-%m-%d} in one run: {machine.describe()}."
    yield "`python -m bench rebuild` measures it again and writes this page."
    yield ""
    yield f"The log holds a day of generated traffic: {size.rebuild_events:,} events in {PARTITIONS} partitions."
    for part in parts:
        yield from ("", f"## {part.title}", "", *part.says, "")
        yield from report.markdown_table(part.headings, part.rows)


def growth(samples: Sequence[Sample]) -> float:
    """Resident memory over the last tenth of the events, against the second tenth: the first one warms up."""
    last = samples[-1].applied

    def median(low: float, high: float) -> float:
        within = [each.resident_bytes for each in samples if low * last <= each.applied <= high * last]
        return statistics.median(within or [samples[-1].resident_bytes])

    return median(0.9, 1.0) / median(0.1, 0.2)


def picture(samples: Sequence[Sample]) -> str:
    """The samples in so many bars; the highest is the most there was, the lowest nothing."""
    most = max(each.resident_bytes for each in samples)
    step = max(1.0, len(samples) / BARS_SHOWN)
    chosen = [samples[int(number * step)] for number in range(min(len(samples), BARS_SHOWN))]
    return "".join(BARS[min(len(BARS) - 1, each.resident_bytes * len(BARS) // most)] for each in chosen)
