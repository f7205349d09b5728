"""What `gavel projections rebuild` shows: a bar, and sentences about what becomes of what is built."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from projections.rebuild import RebuildProgress


class RebuildShown:
    """Use it as a context manager round the work: outside of it there is no bar."""

    def __init__(self, console: Console, name: str, *, is_in_place: bool, swaps: bool) -> None:
        self._console = console
        self._name = name
        self._is_in_place = is_in_place
        self._swaps = swaps
        self._last: RebuildProgress | None = None
        done, rate = MofNCompleteColumn(), TextColumn("{task.fields[rate]}")
        columns = (TextColumn("{task.description}"), BarColumn(), done, rate, TimeRemainingColumn())
        self._progress = Progress(*columns, console=console)
        self._bar = self._progress.add_task(f"Rebuilding {name}", total=None, rate="")

    def __enter__(self) -> Self:
        if self._is_in_place:
            self._console.print(f"{self._name} is built in place: until that is done, whoever needs it does without.")
        self._progress.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, at: RebuildProgress) -> None:
        """How far it is."""
        name = self._name
        if self._last is None and at.built_at is not None:
            what = f"Generation {at.generation} of {name} was built before, at {at.built_at:%Y-%m-%d %H:%M:%S %Z}"
            self._console.print(f"{what}; it is taken up as it is: `gavel projections cancel {name}` to build it anew.")
        self._last = at
        self._progress.update(
            self._bar,
            completed=at.done,
            total=at.total,
            rate=f"{at.per_second:,.0f} events/s",
            description=f"{name} is {at.behind:,} events behind" if at.behind else f"Rebuilding {name}",
        )

    def interrupted(self) -> str:
        """What becomes of it when nobody waits for it any more."""
        if self._last is None:
            return "Interrupted."
        again = f"`gavel projections rebuild {self._name}`"
        if self._is_in_place:
            return f"Workers go on building {self._name} in place; {again} follows it."
        what = f"Workers go on building generation {self._last.generation} of {self._name}, and do not swap"
        return f"{what}: {again} goes on with it and swaps, `gavel projections cancel {self._name}` gives it up."

    def done(self, end: RebuildProgress) -> str:
        """What has come of it."""
        name, built = self._name, f"from {end.total:,} events in {end.seconds:.1f} s"
        if self._is_in_place:
            return f"{name} is rebuilt {built}."
        if self._swaps:
            return f"{name} is rebuilt {built}: queries read generation {end.generation} now."
        waits = f"`gavel projections verify {name}`, `gavel projections swap {name}`"
        return f"Generation {end.generation} of {name} is built {built}, and waits: {waits}."
