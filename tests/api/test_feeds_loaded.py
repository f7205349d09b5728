"""Files that the command line and the example load: in full, once, and on from where they were cut off."""

from __future__ import annotations

import asyncio
import csv
import gzip
import signal
import sys
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace

from gavel.feed_upload import FeedUpload, Load
from gavel.secret_file import write_secret
from gavel.settings import Settings, environment_of
from tests.api.feed import Feed, fresh_feed, ndjson, record
from tests.api.running_api import RunningApi, until
from tests.api.tenants import issued
from tests.gavel.shell import Shell, Told

EXAMPLE = Path(__file__).parents[2] / "examples" / "load_feed.py"


@pytest.fixture
def notes(settings: Settings, tmp_path: Path) -> Settings:
    """The running exchange, and a folder of this test alone for what a command keeps."""
    return replace(settings, cache=tmp_path / "cache")


@pytest.fixture
async def feed(empty_api: RunningApi) -> Feed:
    return await fresh_feed(empty_api)


async def test_a_file_is_loaded(empty_api: RunningApi, notes: Settings, tmp_path: Path) -> None:
    """Packed or not; bad lines are told, and the same file again is loaded again."""
    feed = await fresh_feed(empty_api, unreadable_percent=50)
    file = tmp_path / "people.ndjson.gz"
    file.write_bytes(gzip.compress(ndjson([record("a", n=1), b"bad\n", record("b", n=2)])))
    shell = Shell("feeds", environment_of(notes))
    for _ in range(2):
        told = await shell("load", str(file), "--client", feed.name, "--mode", "replace")
        assert told.code == 0, told.err
        assert "is published" in told.out
        assert "Records applied: 2 of 2; lines refused: 1" in told.out
        assert "line 2: the line is not JSON" in told.err
        assert [await feed.record(key) for key in "ab"] == [{"n": 1}, {"n": 2}]
        await feed.change({"op": "delete", "key": "a"})
    assert [*(notes.cache / "feed-loads").iterdir()] == []


async def test_what_is_not_published_ends_with_an_error(empty_api: RunningApi, notes: Settings, tmp_path: Path) -> None:
    """Exit code 1 and the reason, for a load that breaks its terms and for a client that is not there."""
    feed = await fresh_feed(empty_api, minimum_records=2)
    file = tmp_path / "people.ndjson"
    file.write_bytes(ndjson([record("a")]))
    shell = Shell("feeds", environment_of(notes))
    code, run = await shell.json("load", str(file), "--client", feed.name, "--mode", "replace")
    assert (code, run["status"], run["applied"]) == (1, "failed", 1)
    assert "at least 2" in run["reason"]
    told = await shell("load", str(file), "--client", "nobody")
    assert (told.code, told.err.splitlines()[-1]) == (1, "gavel: 404: There is no feed client 'nobody'.")
    told = await shell("load", str(file), "--client", feed.name, "--key-file", sys.executable)
    assert (told.code, "holds no access key" in told.err, "Traceback" in told.err) == (1, True, False)


async def test_a_file_that_has_changed(feed: Feed, notes: Settings, tmp_path: Path) -> None:
    """What was begun with another content is not gone on with, and says so; run again, the file is loaded as it is."""
    file = tmp_path / "people.ndjson"
    file.write_bytes(ndjson([record("a", n=2)]))
    folder = notes.cache / "feed-loads"
    plan = Load(file=file, client=feed.name, mode="merge", url=notes.base_url, key=notes.admin_key, notes=folder)
    folder.mkdir(parents=True)
    write_secret(FeedUpload(plan, lambda _: None).note(), {"name": "night"})
    await feed.load([record("a", n=1)], Idempotency_Key="night")
    shell = Shell("feeds", environment_of(notes))
    told = await shell("load", str(file), "--client", feed.name)
    assert (told.code, "has changed since" in told.err) == (1, True), told.err
    told = await shell("load", str(file), "--client", feed.name)
    assert (told.code, await feed.record("a")) == (0, {"n": 2}), told.err


async def test_a_killed_load_goes_on(feed: Feed, notes: Settings, tmp_path: Path) -> None:
    """The command is killed in the middle of the file; run again it completes the same load, each record once."""
    file = tmp_path / "people.ndjson"
    records = 20_000
    file.write_bytes(ndjson(record(f"k{number}", filled="x" * 400) for number in range(records)))
    words = ("load", str(file), "--client", feed.name, "--mode", "replace", "--json")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gavel", "feeds", *words),
        env=environment_of(notes),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    open_runs = feed.api.services.feed_runs.open_runs
    await until(lambda: open_runs([feed.client]), seconds=60)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    [cut] = await open_runs([feed.client])
    code, run = await Shell("feeds", environment_of(notes)).json(*words[:-1])
    assert (code, run["status"], run["applied"], run["duplicates"]) == (0, "published", records, 0)
    assert run["id"] in {cut.undecided, *(each.run_id for each in cut.started)}


async def test_the_example_loads_a_csv_and_a_table(
    feed: Feed, settings: Settings, api_database: str, tmp_path: Path
) -> None:
    """With an access key of the client's own; a list stands in a column of its own, and a name sends nothing twice."""
    key_file = tmp_path / "key.txt"
    key_file.write_text((await issued(feed.api, "feed_client", feed.client)).secret)
    people = tmp_path / "people.csv"
    with people.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([["id", "segments", "city"], ["u 1", "skiers hikers", "Graz"], ["u 2", "", "Wien"]])
    told = await example(feed, key_file, "csv", str(people))
    assert (told.code, "published: 2 records" in told.out) == (0, True), told.err
    assert await feed.record("u 1") == {"segments": ["skiers", "hikers"], "city": "Graz"}
    connection = await asyncpg.connect(api_database)
    try:
        await connection.execute('CREATE SCHEMA crm CREATE TABLE "People" (id int, segments jsonb, name text)')
        await connection.execute(
            """INSERT INTO crm."People" SELECT n, '["cars", "a b"]'::jsonb, 'Anna ' || n FROM generate_series(1, 2500) n
            UNION ALL SELECT NULL, '[]', 'Nobody'"""
        )
        for _ in range(2):
            told = await example(feed, key_file, "--name", "tonight", "postgres", api_database, 'crm."People"')
            assert (told.code, "published: 2500 records" in told.out) == (0, True), told.err
            assert told.err == "row 2501 has no key and is not sent\n"
        assert await feed.record("2500") == {"segments": ["cars", "a b"], "name": "Anna 2500"}
    finally:
        await connection.execute("DROP SCHEMA IF EXISTS crm CASCADE")
        await connection.close()


async def test_the_example_says_what_is_wrong(feed: Feed, tmp_path: Path) -> None:
    """In a line, and before anything is sent: a column, a table, a file that is not there."""
    key_file, people = tmp_path / "key.txt", tmp_path / "people.csv"
    key_file.write_text("k")
    people.write_text("id,city\n1,Graz\n")
    for source, why in (
        (("--key-column", "nr", "csv", str(people)), "there is no column 'nr', but id, city"),
        (("csv", str(tmp_path / "none.csv")), "No such file"),
        (("csv", str(people)), "401"),
    ):
        told = await example(feed, key_file, *source)
        assert (told.code, why in told.err, "Traceback" in told.err) == (1, True, False), told.err


async def example(feed: Feed, key_file: Path, *words: str) -> Told:
    """As its text says how to run it."""
    options = ("--url", feed.api.base_url, "--client", feed.name, "--key-file", str(key_file))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLE), *options, *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Told(process.returncode, out.decode(), err.decode())
