"""The dashboard's files: served whole, and sufficient without the internet."""

from __future__ import annotations

import re

import pytest

from api.dashboard.page import FOLDER, MEDIA_TYPES
from tests.api.running_api import RunningApi

FILES = sorted(path.name for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES)


async def test_the_page_may_run_nothing_but_its_own_files(empty_api: RunningApi) -> None:
    """The policy forbids inline code, foreign code and being framed."""
    async with empty_api.http.get("/") as response:
        page = await response.text()
    policy = response.headers["Content-Security-Policy"]
    assert response.headers["Content-Type"].startswith("text/html")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy.split("; "))
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", page)


@pytest.mark.parametrize("name", FILES)
async def test_each_file_is_served_as_what_it_is(empty_api: RunningApi, name: str) -> None:
    """The bytes of the file under the type that browsers insist on."""
    async with empty_api.http.get(f"/dashboard/{name}") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith(MEDIA_TYPES[f".{name.rpartition('.')[2]}"])
        assert await response.read() == (FOLDER / name).read_bytes()


@pytest.mark.parametrize("name", [*FILES, "index.html"])
async def test_every_reference_is_to_a_file_that_is_there(name: str) -> None:
    """Nothing comes from elsewhere, and nothing is missing."""
    text = (FOLDER / name).read_text()
    addresses = re.findall(r"""(?:src=|href=|from |url\()["']([^"']+)["']""", text)
    for address in addresses:
        if address.startswith(("#", "/schema")):
            continue
        assert address.startswith("/dashboard/"), address
        assert address.removeprefix("/dashboard/") in FILES, address
    assert "://" not in text.replace("http://www.w3.org/2000/svg", ""), name
