"""Files on their way into a feed, as far as nobody takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.errors import InvalidInput
from gavel import feed_upload
from gavel.embedded.ports import HOST
from gavel.errors import CannotRun
from gavel.feed_upload import FeedUpload, Load, Progress

NOBODY = f"http://{HOST}:1"


def load_of(folder: Path, url: str) -> Load:
    file = folder / "people.ndjson"
    file.write_bytes(b'{"key": "a", "value": {}}\n')
    return Load(file=file, client="c", mode="merge", url=url, key="k", notes=folder / "notes")


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://exchange", "http://", "http://[", "http://exchange:0"])
async def test_an_address_that_is_none_is_refused_at_once(tmp_path: Path, url: str) -> None:
    """Nothing is tried, and nothing is kept."""
    with pytest.raises(InvalidInput, match="http://HOST:PORT"):
        await FeedUpload(load_of(tmp_path, url), lambda _: None)()
    assert not (tmp_path / "notes").exists()


async def test_what_is_waited_for_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody answers, from the first attempt on and not only at the end of all patience."""
    monkeypatch.setattr(feed_upload, "PATIENCE_SECONDS", 0.0)
    shown: list[Progress] = []
    with pytest.raises(CannotRun, match="Cannot connect"):
        await FeedUpload(load_of(tmp_path, NOBODY), shown.append)()
    assert shown[-1].tells.startswith("Waiting: Cannot connect")
