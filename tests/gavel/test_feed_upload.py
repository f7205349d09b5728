"""Files on their way into a feed, as far as nobody takes them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from domain.errors import InvalidInput
from gavel import feed_upload
from gavel.embedded.ports import HOST
from gavel.errors import CannotRun
from gavel.feed_upload import FeedUpload, Load, Progress
from tests.gavel.shell import Shell

NOBODY = f"http://{HOST}:1"


def load_of(folder: Path, url: str) -> Load:
    file = folder / "people.ndjson"
    file.write_bytes(b'{"key": "a", "value": {}}\n')
    return Load(file=file, client="c", mode="merge", url=url, key="k", notes=folder / "notes")


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8080",
        "ftp://exchange",
        "http://",
        "http://[",
        "http://exchange:0",
        "http://exchange?a=b",
        "http://me:word@exchange",
    ],
)
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


@pytest.mark.parametrize("prefix", ["/ads", "/ads/", "/", ""])
async def test_an_exchange_below_a_path(tmp_path: Path, prefix: str) -> None:
    """Behind a proxy that knows it by one: the upload and the questions about its run go there."""
    asked: set[str] = set()

    async def answer(request: web.Request) -> web.Response:
        asked.add(request.path.rpartition("/")[0])
        await request.read()
        if request.method == "POST":
            return web.json_response({"received": 1, "errors": []}, status=202)
        return web.json_response({"status": "published", "applied": 1})

    server = web.Server(answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        port = runner.addresses[0][1]
        outcome = await FeedUpload(load_of(tmp_path, f"http://{HOST}:{port}{prefix}"), lambda _: None)()
    finally:
        await runner.cleanup()
    path = f"{prefix.rstrip('/')}/v1/feeds/c"
    assert (outcome.run["status"], asked) == ("published", {path, f"{path}/runs"})


async def test_the_operators_key_goes_nowhere_else(tmp_path: Path) -> None:
    """Another exchange than the data folder's own is not even connected to, unless a key for it is named."""
    callers = 0

    async def called(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal callers
        callers += 1
        writer.close()

    server = await asyncio.start_server(called, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        load = load_of(tmp_path, "")
        shell = Shell("feeds", {"GAVEL_DATA": str(tmp_path / "data"), "GAVEL_ADMIN_KEY": "operator's" * 4})
        told = await shell("load", str(load.file), "--client", "c", "--url", f"http://{HOST}:{port}")
    assert (told.code, "--key-file" in told.err, callers) == (2, True, 0), told.err
