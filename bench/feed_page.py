"""What the drill of feeds comes to, in words and tables: on the terminal, and as `bench/FEEDS.md`."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.filesize import decimal

from bench import machine, report

RESULTS = Path(__file__).with_name("FEEDS.md")
MEMORY_HEADINGS = ("process", "at once", "median of the second third", "median of the last third", "growth", "highest")
MEMORY_SAMPLES_MIN = 60
"""Fewer say nothing about growth."""
MIB = 2**20

Samples = Mapping[str, Sequence[tuple[float, int]]]
"""By process: seconds, and bytes resident."""


class Load(NamedTuple):
    """What was sent, and how long it took until all of it was applied and audited."""

    records: int
    changes: int
    file_bytes: int
    seconds: float
    resent: int
    """Uploads of changes that had to be sent again."""
    clients: int


class Outcome(NamedTuple):
    """The whole drill."""

    load: Load
    faults: Sequence[str]
    compared: Mapping[str, Any]
    """What `tests/refeed.py` says."""
    compared_seconds: float
    runs: Sequence[Mapping[str, Any]]
    """What became of the loads, as `GET /v1/feeds/{client}/runs/{id}` tells it, and the lines that were refused."""
    memory: Samples


def growth(memory: Samples) -> dict[str, float]:
    """By process: memory in the last third of the load over that in the second, where enough was seen of it."""
    return {
        name: _median(samples[2 * len(samples) // 3 :]) / _median(samples[len(samples) // 3 : 2 * len(samples) // 3])
        for name, samples in memory.items()
        if len(samples) >= MEMORY_SAMPLES_MIN
    }


def show(outcome: Outcome, console: Console) -> None:
    """On the terminal."""
    for line in _sentences(outcome):
        console.print(line)
    report.show_rows(console, "Figures of the comparison", ("", ""), _figures(outcome))
    report.show_rows(console, "Memory while the records came", MEMORY_HEADINGS, _memory(outcome))


def write(outcome: Outcome) -> None:
    """Into FEEDS.md."""
    RESULTS.write_text("\n".join(_page(outcome)) + "\n")


def _page(outcome: Outcome) -> Iterator[str]:
    yield "# The drill of feeds"
    yield ""
    yield f"Measured on {datetime.now(UTC):%Y-%m-%d}: {machine.describe()}."
    yield "`make feeds` runs it again and writes this page."
    yield ""
    yield from _sentences(outcome)
    yield ""
    yield "The script is independent of the product: it applies the files to a dictionary."
    yield "It asks the log only where among the changes each bulk was begun, and what it has for the sums."
    yield "It looks up every key of the files, and every key that Redis has."
    yield "Lines that the log has twice were sent again after an interruption, and changed nothing."
    yield ""
    yield from report.markdown_table(("what", "how many"), _figures(outcome))
    yield ""
    yield "Memory is what the processes have resident, of all API processes and of all projectors, twice a second."
    yield ""
    yield from report.markdown_table(MEMORY_HEADINGS, _memory(outcome))


def _sentences(outcome: Outcome) -> Iterator[str]:
    load = outcome.load
    yield (
        f"{load.clients} feed clients loaded {load.records:,} records at once ({decimal(load.file_bytes)} of NDJSON) "
        f"with `gavel feeds load`, and sent {load.changes:,} changes meanwhile: {load.seconds:,.0f} s until all of it "
        f"was applied and audited, {(load.records + load.changes) / load.seconds:,.0f} a second."
    )
    yield f"On the way: {'; '.join(outcome.faults)}."
    yield f"{load.resent:,} uploads of changes had to be sent again."
    yield (
        f"Then `tests/refeed.py` compared in {outcome.compared_seconds:,.0f} s "
        f"{outcome.compared['figures']['keys looked up']:,} keys and the audit's sums with the files: "
        f"{outcome.compared['wrong']:,} differ."
    )


def _figures(outcome: Outcome) -> list[tuple[str, str]]:
    return [(name, f"{figure:,}") for name, figure in outcome.compared["figures"].items()]


def _memory(outcome: Outcome) -> list[tuple[str, ...]]:
    ratios = growth(outcome.memory)
    rows = []
    for name, samples in sorted(outcome.memory.items()):
        third = len(samples) // 3
        figures = (samples[0][1], _median(samples[third : 2 * third + 1]), _median(samples[2 * third :]))
        highest = max(resident for _, resident in samples)
        said = f"{ratios[name]:.2f}" if name in ratios else ""
        rows.append((name, *(f"{each / MIB:,.0f} MiB" for each in figures), said, f"{highest / MIB:,.0f} MiB"))
    return rows


def _median(samples: Sequence[tuple[float, int]]) -> float:
    return statistics.median(resident for _, resident in samples)
