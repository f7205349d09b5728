"""The key of the addresses rotates under two running API processes: every ad that is on a page still counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import msgspec
import pytest

from gavel.settings import Settings
from gavel.token_keys import KNOWN_BEFORE_SECONDS, TokenKeyFile
from tests.api.conftest import hold
from tests.api.running_api import RunningApi, free_port, running_api, until
from tests.api.test_engagements import BROWSER, verdicts

IN_FORCE_AT_ONCE = timedelta(seconds=KNOWN_BEFORE_SECONDS)
"""Rotated so long ago, the key signs as soon as a process has it."""


@pytest.fixture
async def processes(api: RunningApi, settings: Settings, tmp_path: Path) -> AsyncIterator[list[RunningApi]]:
    """Two of one installation whose key stands in a file."""
    first, second = (
        msgspec.structs.replace(
            settings, token_key=None, token_key_file=tmp_path / "keys.json", port=free_port(), data=tmp_path / name
        )
        for name in ("first", "second")
    )
    TokenKeyFile.of(first).ensure()
    async with running_api(first) as one, running_api(second) as other:
        yield [one, other]


async def verdict_at(api: RunningApi, url: str) -> str:
    """Of one hit of an impression's address."""
    before = verdicts(api)
    async with api.http.get(urlunsplit(urlsplit(url)._replace(scheme="", netloc="")), headers=BROWSER):
        pass
    [verdict] = [name for name, count in verdicts(api).items() if count != before[name]]
    return verdict


async def test_ads_on_pages_outlive_a_rotation(processes: list[RunningApi], tmp_path: Path) -> None:
    """Both processes believe both keys, whoever has signed; a destroyed key neither believes."""
    file = TokenKeyFile(tmp_path / "keys.json")
    one, other = processes
    old, old_of_other, spare = [await hold(each) for each in (one, other, one)]
    name = _key_of(old.impression_url)
    assert _key_of(old_of_other.impression_url) == name

    async def signs_anew() -> bool:
        return all([_key_of((await hold(each)).impression_url) != name for each in processes])

    file.rotate(datetime.now(UTC) - IN_FORCE_AT_ONCE, destroy_old=False)
    await until(signs_anew)
    new = await hold(one)
    assert await verdict_at(other, old.impression_url) == "valid"
    assert await verdict_at(one, old_of_other.impression_url) == "valid"
    assert await verdict_at(other, new.impression_url) == "valid"
    assert await verdict_at(one, new.impression_url) == "duplicate"
    file.rotate(datetime.now(UTC), destroy_old=True)

    async def is_forgotten() -> bool:
        return [await verdict_at(each, old.impression_url) for each in processes] == ["forged", "forged"]

    await until(is_forgotten)
    assert await verdict_at(one, spare.impression_url) == "forged"


def _key_of(url: str) -> str:
    """The public name of the key that signed an address."""
    return url.partition("?t=")[2][:5]
