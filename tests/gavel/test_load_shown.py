"""The bar of `gavel feeds load`, as it stands on a terminal."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from gavel.cli.load_shown import LoadShown, load_progress
from gavel.feed_upload import Progress

FILE_BYTES = 4_000_000


def test_what_the_bar_says() -> None:
    """While it is sent: percent, records applied, MB/s and the time left; then the same of its records."""
    now = 100.0
    console = Console(file=StringIO(), record=True, width=120)
    progress = load_progress(console, lambda: now)
    shown = LoadShown(progress, FILE_BYTES)

    def line(at: Progress) -> list[str]:
        shown.show(at)
        console.print(progress.get_renderable())
        return console.export_text().split()

    assert line(Progress(sent=0, applied=0, received=None, tells="Sending"))[0] == "Sending"
    now += 1
    line(Progress(sent=1_000_000, applied=1_000, received=None, tells="Sending"))
    now += 1
    words = line(Progress(sent=2_000_000, applied=2_500, received=None, tells="Sending"))
    assert words[2:] == ["50%", "2,500", "records", "applied", "1.0", "MB/s", "0:00:02"]

    line(Progress(sent=FILE_BYTES, applied=2_500, received=10_000, tells="Loading"))
    now += 1
    line(Progress(sent=FILE_BYTES, applied=4_000, received=10_000, tells="Loading"))
    now += 1
    words = line(Progress(sent=FILE_BYTES, applied=6_000, received=10_000, tells="Loading"))
    assert (words[0], words[2:6]) == ("Loading", ["60%", "6,000", "records", "applied"])
    assert words[6:] == ["2,000", "records/s", "0:00:02"]
    shown.end()
    assert progress.finished
