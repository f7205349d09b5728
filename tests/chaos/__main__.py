"""`make chaos`: the long form.

python -m tests.chaos [--seed N] [--minutes M]
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import SystemRandom

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from gavel.telemetry import configure_logging
from tests.chaos.run import Verdict, run

SEEDS = 10_000


@click.command()
@click.option("--seed", type=click.IntRange(min=0), help="Of an earlier run, to have it again; else a new one.")
@click.option("--minutes", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Of strikes.")
def main(*, seed: int | None, minutes: float) -> None:
    """Let everything die while traffic flows, then hold every read model against a count from the topics.

    Exits with 1 where one of them differs; the logs of all processes are kept then.
    """
    seed = SystemRandom().randrange(SEEDS) if seed is None else seed
    console = Console(stderr=True)
    configure_logging("critical", process="chaos")  # of what goes on in the middle of it only findings are news
    console.print(f"seed {seed}: {minutes:g} minutes of strikes")
    folder = Path(tempfile.mkdtemp(prefix="gavel-chaos-"))
    folder.chmod(0o755)  # root's Postgres runs as another user
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("chaos", total=1.0)

        def say(line: str, share: float) -> None:
            progress.console.print(line, highlight=False)
            progress.update(bar, completed=share)

        verdict = asyncio.run(run(seed, minutes * 60, folder / "data", say))
    _tell(console, verdict, seed)
    if verdict.findings:
        console.print(f"The logs are in {folder}.")
        sys.exit(1)
    shutil.rmtree(folder)


def _tell(console: Console, verdict: Verdict, seed: int) -> None:
    ended = ", ".join(f"{count} × {how}" for how, count in sorted(verdict.outcomes.items()))
    console.print(
        f"{len(verdict.strikes)} strikes, {verdict.events:,} events, {verdict.seconds:.0f} s. Commands: {ended}."
    )
    for refusal, count in Counter(verdict.refusals).most_common():
        console.print(f"{count} × refused: {refusal}", markup=False, highlight=False)
    for finding in verdict.findings:
        console.print(f"- {finding}", markup=False, highlight=False)
    word = "differs or crashed" if verdict.findings else "every read model equals the count, and so does its rebuild"
    console.print(f"seed {seed}: {word}", style="bold red" if verdict.findings else "bold green")


if __name__ == "__main__":
    main()
