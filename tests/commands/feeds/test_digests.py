"""The digests of uploads in the log: they tell two uploads apart, and nobody what was in one."""

from __future__ import annotations

import hashlib

import pytest

from commands.feeds.intake import Sealing, named_run
from domain.errors import KeyReused
from domain.feeds.sealing import DataKey
from domain.feeds.upload_digest import UnkeyedDigest
from tests.commands.feeds.test_uploads import Desk, adds, desk, ndjson, sealing
from tests.commands.topic_content import read_topic

__all__ = ["desk"]


async def digests_of(desk: Desk, sealing: Sealing, *, name: str = "night") -> list[str]:
    """Those that two uploads of one name leave in the log: a load, and the same as changes."""
    own = Desk(desk.log, desk.redis, desk.names, desk.kafka_url, sealing)
    await own.load(own.bulk(ndjson("abc"), name=name))
    await own.change(own.changes(adds("abc"), name=name))
    topics = (desk.names.feeds_bulk, desk.names.feeds_changes)
    found = [each for topic in topics for each in await read_topic(desk.kafka_url, topic) if each.key == own.sender.id]
    return [each.event["digest"] for each in found if "digest" in each.event]


async def test_nothing_can_be_guessed_by_a_digest(desk: Desk) -> None:
    """Whoever has log and file and no data key computes none; two uploads of one file have not one in common."""

    async def another(_client: str) -> DataKey:
        return DataKey(id="k1", secret=bytes(32))

    found = [
        *await digests_of(desk, sealing),
        *await digests_of(desk, sealing, name="other"),
        *await digests_of(desk, another),
    ]
    # The last record of a load and its end have the same one.
    assert (len(found), len(set(found))) == (15, 12)
    assert {len(each) for each in found} == {17}
    lines = ndjson("abc").splitlines()
    unkeyed = hashlib.sha256((1).to_bytes(8) + lines[0]).hexdigest()[:16]
    assert not any(unkeyed in each for each in found)


async def test_a_load_goes_on_that_began_before_digests_had_a_key(desk: Desk) -> None:
    """What the log has of it is compared as it was written; another upload under its name is refused as ever."""
    older = UnkeyedDigest()
    for line_number, line in enumerate(ndjson("abc").splitlines(), 1):
        older.add(line_number, line)
    run_id = named_run(desk.sender.id, "night")
    await desk.seen(run_id, 0, "merge", "receiving", 3, 0, 0, 0, 4, "", older.text)
    with pytest.raises(KeyReused):
        await desk.load(desk.bulk(ndjson("abxd"), name="night"))
    await desk.load(desk.bulk(ndjson("abcd"), name="night"))
    record, end = await desk.bulk_log()
    assert (record["key"], record["digest"]) == ("d", end["digest"])
