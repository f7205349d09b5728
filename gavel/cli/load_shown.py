"""The bar of `gavel feeds load`: how far the file is sent, then how far its records are applied."""

from __future__ import annotations

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    GetTimeCallable,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from gavel.feed_upload import Progress as UploadProgress


def load_progress(console: Console, get_time: GetTimeCallable | None = None) -> Progress:
    """What is done, the bar, percent, records applied, the speed, and the time that is left by it."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[records]:,} records applied"),
        _Speed(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, get_time=get_time)


class LoadShown:
    """One load in it."""

    def __init__(self, progress: Progress, size_bytes: int) -> None:
        self._progress = progress
        # Of an empty file as well something is done in the end.
        self._bar = progress.add_task("Sending", total=max(1, size_bytes), records=0, applying=False)

    def show(self, at: UploadProgress) -> None:
        if at.received is not None and not self._task.fields["applying"]:
            total = max(1, at.received)
            self._progress.reset(self._bar, total=total, completed=at.applied, records=at.applied, applying=True)
        completed = at.sent if at.received is None else at.applied
        self._progress.update(self._bar, description=at.tells, completed=completed, records=at.applied)

    def end(self) -> None:
        self._progress.update(self._bar, completed=self._task.total)

    @property
    def _task(self) -> Task:
        return self._progress.tasks[self._bar]


class _Speed(ProgressColumn):
    """Of bytes that are sent, then of records that are applied."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed or 0.0
        return Text(f"{speed:,.0f} records/s" if task.fields["applying"] else f"{decimal(int(speed))}/s")
