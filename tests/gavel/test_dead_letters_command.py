"""`gavel dead-letters` on a real log: what a person or a script sees, and the exit code."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import msgspec
import pytest

from tests.gavel.shell import Shell, shell_beside
from tests.projections.conftest import ReadSide, read_side
from tests.projections.traffic import Traffic

__all__ = ["read_side"]

UNKNOWN = b'{"type":"never_heard_of"}'


@pytest.fixture
def shell(read_side: ReadSide, tmp_path: Path) -> Shell:
    return shell_beside(read_side, tmp_path, "dead-letters")


async def test_from_the_list_to_the_end(read_side: ReadSide, shell: Shell) -> None:
    """Listed for a script, inspected, retried in vain with exit code 1, skipped with a reason, told of after."""
    story = Traffic(1).auction(test=False)
    key = story[0].correlation_id
    await read_side.log.append_bytes(read_side.names.auctions, key, UNKNOWN)
    await read_side.log.append(story[:1])
    await read_side.run_to_the_end("auction_log")
    code, (first, second) = await shell.json("list")
    assert code == 0
    assert {"id", "projection", "topic", "partition", "offset", "key", "error", "parked_at"} <= first.keys()
    assert (first["projection"], first["key"], first["topic"]) == ("auction_log", key, read_side.names.auctions)
    assert "payload" not in first

    shown = await shell("inspect", str(first["id"]))
    assert msgspec.json.decode(shown.out) == first
    shown = await shell("inspect", str(first["id"]), "--payload")
    assert msgspec.json.decode(shown.out)["payload"] == UNKNOWN.decode()

    tried = await shell("retry", str(second["id"]))
    assert (tried.code, tried.out.splitlines()[0]) == (1, "0 applied, 2 still open.")
    code, answer = await shell.json("retry", "--projection", "auction_log")
    assert (code, answer["waiting"]) == (1, 2)
    skipped = await shell("skip", str(first["id"]), "--reason", "It was a test of the line.")
    told = f"The event of letter {first['id']} is skipped; of those behind it:\n1 applied, 0 still open.\n"
    assert (skipped.code, skipped.out) == (0, told)
    assert await shell.json("list") == (0, [])
    _, (ended, applied) = await shell.json("list", "--ended")
    assert (ended["outcome"], ended["reason"], applied["outcome"]) == (
        "skipped",
        "It was a test of the line.",
        "applied",
    )
    assert ended["decided_by"].startswith(f"{getpass.getuser()}@")
    table = await shell("list", "--ended")
    assert table.code == 0
    assert "skipped" in table.out
    assert len(await read_side.fetch("SELECT FROM auctions")) == 1


async def test_what_cannot_be_asked(shell: Shell) -> None:
    """A letter that is not there, a retry of nothing, and a skip without a reason are told in a line."""
    missing = await shell("inspect", "17")
    assert (missing.code, missing.err) == (1, "gavel: there is no dead letter 17\n")
    assert (await shell("retry", "17")).err == "gavel: there is no dead letter 17\n"
    assert "there is no projection 'deliverys', but" in (await shell("list", "--projection", "deliverys")).err
    assert (await shell("skip", "17", "--reason", os.fsdecode(b"caf\xe9"))).err.startswith("gavel: reason: is not a")
    for words in (("retry",), ("retry", "17", "--projection", "delivery"), ("skip", "17")):
        assert (await shell(*words)).code == 2
