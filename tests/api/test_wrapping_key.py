"""`gavel feeds rotate --wrapping-key`: all data keys stand under another key, and no record is touched."""

from __future__ import annotations

from pathlib import Path

import aiohttp
from msgspec.structs import replace

from gavel.feed_keys import FeedKeyFile, FeedKeysInForce, WrappingKeyFile
from gavel.settings import Settings
from tests.api.feed import fresh_feed, record
from tests.api.running_api import RunningApi, api_process, free_port
from tests.api.test_feeds_command import gavel_feeds

CLIENT = "client-1"
OLD, NEW = "aa" * 32, "bb" * 32


async def test_it_changes_under_a_running_exchange(empty_api: RunningApi, settings: Settings) -> None:
    """What was loaded before and after it is found, also by a process that starts with the new key alone."""
    feed = await fresh_feed(empty_api)
    await feed.load([record("before", n=1)])
    wrapping_key = settings.data / settings.feed_key_file
    old = wrapping_key.read_bytes()
    told = await gavel_feeds(settings, "rotate", "--wrapping-key")
    assert (told.code, "under the new wrapping key: " in told.out) == (0, True), told.err
    assert wrapping_key.read_bytes() != old
    await feed.load([record("after", n=2)])
    assert [await feed.record(key) for key in ("before", "after")] == [{"n": 1}, {"n": 2}]

    fresh = replace(settings, port=free_port())
    async with api_process(fresh), aiohttp.ClientSession(f"http://127.0.0.1:{fresh.port}") as http:
        for key, value in (("before", {"n": 1}), ("after", {"n": 2})):
            async with http.get(f"{feed.path}/records/{key}", headers=empty_api.authorized) as found:
                assert (await found.json(content_type=None))["value"] == value


async def test_it_moves_from_its_file_to_a_setting_and_to_another(tmp_path: Path) -> None:
    """`GAVEL_FEED_KEY_PREVIOUS` is what opens until the command was run, and can go then."""
    kept = Settings(data=tmp_path)
    data_key = await FeedKeysInForce(FeedKeyFile.of(kept)).sealing(CLIENT)
    [in_file] = WrappingKeyFile.of(kept).read()
    for now, before in ((OLD, in_file.secret.hex()), (NEW, OLD)):
        told = await gavel_feeds(replace(kept, feed_key=now, feed_key_previous=before), "rotate", "--wrapping-key")
        assert (told.code, "under the new wrapping key: 1." in told.out) == (0, True), told.err
        keys = FeedKeysInForce(FeedKeyFile.of(replace(kept, feed_key=now)))
        assert keys.opening(CLIENT, data_key.id) == data_key
    refused = await gavel_feeds(replace(kept, feed_key=OLD), "rotate", "--wrapping-key")
    assert (refused.code, "GAVEL_FEED_KEY" in refused.err) == (1, True)


async def test_what_is_rotated_is_named(tmp_path: Path) -> None:
    """Neither a client nor the wrapping key, or both at once, is a mistake."""
    for words in ((), (CLIENT, "--wrapping-key")):
        told = await gavel_feeds(Settings(data=tmp_path), "rotate", *words)
        assert (told.code, "--wrapping-key" in told.err) == (2, True)
