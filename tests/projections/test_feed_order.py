"""The order of a feed client's records, whatever way the two topics come in."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from projections.audiences import Own, Step, digest_of
from projections.feed_freeing import TIDY
from projections.feed_look_up import COUNT, LOOK_UP
from projections.feed_script import APPLY
from projections.feed_told import Told, told_of
from projections.parking import LONG_AGO
from tests.projections.feed_model import Fact, expected

KEYS = ("a", "b", "c")
LONG_AGO_MS, NOW_MS = 1, 2
CLIENT = "t-feed-order:{client}:"
PARTS = ("state", "runs", "changed", "tombstones", "audit", "sources", "started")
RECORDS = {"loaded", "put", "updated", "deleted"}

keys = st.sampled_from(KEYS)
expiring = st.sampled_from([False, False, False, False, True])
runs = st.sampled_from([0, 0, 0, 0, 1, 2])
"""Mostly the last one that was started."""
modes = st.sampled_from(["merge", "replace"])
puts = st.tuples(st.just("put"), keys, expiring)
updates = st.tuples(st.just("updated"), keys, keys, expiring)
deletes = st.tuples(st.just("deleted"), keys)
sources = st.sampled_from(["upload/1", "kafka/a topic/0"])
told = st.tuples(st.just("told"), sources, st.integers(0, 4), st.one_of(puts, updates, deletes))
"""A change that says where it comes from; about every second one tells what was told already."""
erasures = st.just(("erased",))
starts = st.tuples(st.just("started"), modes, st.sampled_from([True, True, True, False]))
openings = st.tuples(st.just("opened"), runs)
loads = st.tuples(st.just("loaded"), runs, st.sampled_from([0, 0, 0, 1, 3]), keys, expiring)
ends = st.tuples(st.sampled_from(["received", "published", "published", "failed"]), runs)
often = [puts, updates, deletes, told, told, starts, loads, loads, loads]
often = [*often, *often, *often, openings, ends, ends, ends]
# Behind an erasure nothing stands any more: few stories have one.
steps = st.sampled_from([*often, *often, *often, erasures]).flatmap(lambda each: each)
readings = st.tuples(
    st.sampled_from(["changes", "changes", "bulk"]), st.integers(1, 9), st.sampled_from([0, 0, 0, 1, 7])
)
plans = st.lists(st.one_of(readings, readings, readings, st.just(("tidy", 0, 0))), max_size=20)


def logged(story: Sequence[tuple[Any, ...]]) -> tuple[list[Fact], list[Fact]]:
    """The two partitions that a story has left. Runs are opened, loaded and decided in any disorder."""
    changes: list[Fact] = []
    bulk: list[Fact] = []
    started: list[tuple[int, str]] = []
    lines = [0] * 100
    for what, *own in story:
        match what:
            case "put" | "updated" | "deleted":
                changes.append(_change(what, own))
            case "told":
                source, place, (inner, *of_inner) = own
                changes.append(_change(inner, of_inner)._replace(source=source, place=place))
            case "erased":
                changes.append(Fact(what))
            case "started":
                started.append((len(changes), own[0]))
                changes.append(Fact(what, run_id=f"r{len(started) - 1}", mode=own[0]))
                if own[1]:
                    bulk.append(_of_run(started, len(started) - 1, "opened"))
            case _ if started:
                number = max(0, len(started) - 1 - own[0])
                fact = _of_run(started, number, what)
                if what == "loaded":
                    lines[number] = own[1] or lines[number] + 1
                    fact = fact._replace(line=lines[number], key=own[2], expired=own[3])
                bulk.append(fact)
    return changes, bulk


def _change(what: str, own: Sequence[Any]) -> Fact:
    if what == "put":
        return Fact(what, key=own[0], expired=own[1])
    return Fact(what, key=own[0]) if what == "deleted" else Fact(what, old_key=own[0], key=own[1], expired=own[2])


def _of_run(started: Sequence[tuple[int, str]], number: int, what: str) -> Fact:
    since, mode = started[number]
    return Fact(what, run_id=f"r{number}", mode=mode, since=since)


class Client:
    """One feed client in Redis, written to by the scripts."""

    def __init__(self, redis: Redis, changes: Sequence[Fact], bulk: Sequence[Fact]) -> None:
        self.redis = redis
        self.logs = {"changes": changes, "bulk": bulk}
        self.ends = {"changes": 0, "bulk": 0}
        self._names = [CLIENT + part for part in PARTS]
        self._apply, self._look_up, self._tidy, self._count = (
            redis.register_script(each) for each in (APPLY, LOOK_UP, TIDY, COUNT)
        )
        for name in redis.scan_iter(CLIENT + "*"):
            redis.delete(name)

    def apply(self, topic: str, start: int, end: int, *, previous: int | None = None) -> int:
        """Records from `start` to before `end`; answers what the script does."""
        log = self.logs[topic]
        known = self.ends[topic] - 1 if previous is None else previous
        records = arguments(topic, [(at, log[at]) for at in range(start, end)])
        done = self._apply(keys=self._names, args=[topic, known, 0, 1, 0, 0, *records])
        self.ends[topic] = max(self.ends[topic], end)
        return cast("int", done)

    def apply_late(self, at: int, fact: Fact, topic: str = "changes") -> int:
        """What was passed over, at its place; answers its offset if nobody knows whether it counts."""
        args: list[str | bytes | int] = [topic, "late", 0, 0, 0, 0, *arguments(topic, [(at, fact)])]
        return cast("int", self._apply(keys=self._names, args=args))

    def read(self, topic: str, count: int, back: int) -> None:
        """The next batch, which begins `back` records before what was read already."""
        start = max(0, self.ends[topic] - back)
        self.apply(topic, start, min(len(self.logs[topic]), start + count))

    def read_to_the_end(self) -> None:
        for topic, log in self.logs.items():
            self.apply(topic, self.ends[topic], len(log))

    def tidy(self, *places: str, count: int = 1000) -> None:
        for place in places or ("changed", "tombstones", "records"):
            self._tidy(keys=self._names, args=[place, 0, count, NOW_MS])

    def records(self) -> dict[str, str]:
        """As a reader sees them who respects what has expired."""
        found = self._look_up(keys=self._names, args=KEYS)
        values = {key: value for key, value in zip(KEYS, found, strict=True) if value is not None}
        return {key: value[16:].decode() for key, value in values.items() if not struct.unpack(">Q", value[8:16])[0]}

    def count(self) -> int:
        """How many records there are, if none of them has expired."""
        counted = [self._count(keys=self._names, args=[place, 0, 1000]) for place in ("changed", "tombstones")]
        return sum(int(more) for _, more, _ in counted) + int(counted[0][2])

    def audit(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(row) for row in self.redis.lrange(self._names[4], 0, -1)]

    def run(self, run_id: str) -> list[Any]:
        return msgspec.json.decode(cast("bytes", self.redis.hget(self._names[1], run_id)), type=list[Any])

    def knows(self, run_id: str) -> bool:
        return bool(self.redis.hexists(self._names[1], run_id))

    def held_records(self) -> int:
        """How many there are in memory, seen or not."""
        active = int(self.redis.hget(self._names[0], "active") or -1)
        return sum(self.redis.hlen(CLIENT + place) for place in ("changed", f"records:{active}"))

    def held(self) -> set[str]:
        """The parts of the client's state that there are."""
        return {name.decode().removeprefix(CLIENT) for name in self.redis.scan_iter(CLIENT + "*")}


def arguments(topic: str, facts: Sequence[tuple[int, Fact]]) -> Told:
    """What the script is told of records at these offsets."""
    return told_of(
        [
            Step(at, fact.what, own_of(fact), value_of(topic, at, fact), LONG_AGO, digest_of(f"{at}".encode()))
            for at, fact in facts
        ]
    )


def value_of(topic: str, at: int, fact: Fact) -> bytes:
    if fact.what not in {"put", "updated", "loaded"}:
        return b""
    return struct.pack(">Q", LONG_AGO_MS if fact.expired else 0) + f"{topic[0]}{at}".encode()


def own_of(fact: Fact) -> Own:
    told_at = f"{fact.place} {fact.source}" if fact.source else ""
    own: dict[str, Own] = {
        "put": (fact.key, "", "", told_at),
        "updated": (fact.old_key, fact.key, "", told_at),
        "deleted": (fact.key, "", "", told_at),
        "changes_received": (2, 3, fact.digest, told_at),
        "started": (fact.run_id, fact.mode, "", ""),
        "erased": ("", "", "", ""),
        "opened": (fact.run_id, fact.mode, fact.since, 0),
        "loaded": (fact.run_id, fact.line, fact.key, fact.digest),
        "received": (fact.run_id, 1, fact.rejected, fact.digest),
        "rejected": ("", "", "", ""),
        "published": (fact.run_id, "", "", ""),
        "failed": (fact.run_id, "why", 2, fact.rejected),
    }
    return own[fact.what]


@pytest.fixture(scope="module")
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as redis:
        yield redis


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(steps, min_size=12, max_size=40), plan=plans)
def test_any_interleaving_gives_what_the_rules_say(
    redis: Redis, story: list[tuple[Any, ...]], plan: list[tuple[str, int, int]]
) -> None:
    """Any cut into batches, any replay and any tidying in between: the records and the audit's sum are the same."""
    changes, bulk = logged(story)
    client = Client(redis, changes, bulk)
    for what, count, back in plan:
        if what == "tidy":
            client.tidy()
        else:
            client.read(what, count, back)
            # Whatever both have read so far, the rules say of it what a reader finds.
            read = changes[: client.ends["changes"]], bulk[: client.ends["bulk"]]
            assert client.records() == expected(*read)
    client.read_to_the_end()
    assert client.records() == expected(changes, bulk)
    client.tidy()
    assert client.records() == expected(changes, bulk)
    assert client.held_records() == len(client.records()), "none twice, and none that nobody sees"
    if not any(fact.expired for fact in (*changes, *bulk)):
        assert client.count() == len(client.records())
    for topic, log in (("changes", changes), ("bulk", bulk)):
        check_audit([row for row in client.audit() if row["topic"] == topic], log)


def check_audit(rows: Sequence[dict[str, Any]], log: Sequence[Fact]) -> None:
    """Every record is in one batch, which has counted it once and knows its digest."""
    assert [at for row in rows for at in range(row["first_offset"], row["last_offset"] + 1)] == [*range(len(log))]
    figures = ("adds", "overwrites", "updates", "deletes", "stale", "rejected")
    for row in rows:
        places = range(row["first_offset"], row["last_offset"] + 1)
        records = [log[at].what in RECORDS for at in places]
        assert (sum(row[figure] for figure in figures), row["marks"]) == (records.count(True), records.count(False))
        digests = [hashlib.sha256(f"{at}".encode()).digest() for at in places]
        assert row["digest"] == hashlib.sha1(b"".join(digests)).hexdigest()


def test_nothing_is_applied_beyond_a_gap(redis: Redis) -> None:
    """A client that Redis has forgotten takes no batch that does not begin where it stands."""
    client = Client(redis, [Fact("put", key="a")] * 3, [])
    assert client.apply("changes", 2, 3, previous=1) == -1
    assert client.held() == set()
    assert client.apply("changes", 0, 3, previous=-1) == 3


def test_nothing_is_kept_that_nobody_can_see(redis: Redis) -> None:
    """A delete during a load is remembered until the load has ended; a load that replaces leaves nothing behind."""
    changes, bulk = logged(
        [
            ("put", "a", False),
            ("started", "replace", True),
            ("deleted", "b"),
            ("loaded", 0, 0, "b", False),
            ("loaded", 0, 0, "c", False),
            ("loaded", 0, 0, "c", False),
            ("published", 0),
        ]
    )
    client = Client(redis, changes, bulk)
    client.apply("changes", 0, 3)
    client.apply("bulk", 0, 4)
    assert client.held() == {"state", "runs", "changed", "tombstones", "audit", "records:1"}
    client.apply("bulk", 4, 5)
    client.tidy()
    assert client.held() == {"state", "runs", "audit", "records:1"}
    assert client.records() == {"c": "b3"}
    assert client.run("r0") == [1, "replace", "published", 3, 1, 0, 0, 4, "", "", False]


@pytest.mark.parametrize("order", [("changes", "bulk"), ("bulk", "changes")])
def test_nothing_stands_once_a_client_is_erased(redis: Redis, order: tuple[str, str]) -> None:
    """Neither what was on its way to the log when it was told, nor loads, whichever of the two is read first."""
    loads_of = [("started", "merge", True), ("loaded", 0, 0, "a", False), ("received", 0), ("published", 0)]
    replaces = [("started", "replace", True), ("loaded", 0, 0, "b", False)]
    changes, bulk = logged([*loads_of, ("put", "b", False), ("erased",), ("put", "c", False), *loads_of, *replaces])
    client = Client(redis, changes, bulk)
    for topic in order:
        client.apply(topic, 0, len(client.logs[topic]))
    assert client.records() == {}
    assert client.held() <= {"state", "runs", "audit", "started"}


def test_what_expires_brings_nothing_older_back(redis: Redis) -> None:
    """A bulk record that has expired still stands over a change before its load that is read later."""
    changes, bulk = logged([("put", "a", False), ("started", "merge", True), ("loaded", 0, 0, "a", True)])
    client = Client(redis, changes, bulk)
    client.apply("bulk", 0, 2)
    client.tidy()
    client.apply("changes", 0, 2)
    assert client.records() == {}


def test_what_expires_takes_what_it_stood_over_along(redis: Redis) -> None:
    """A change before a load, whose record has expired, is not found again when that one's memory is freed."""
    changes, bulk = logged(
        [("put", "a", False), ("started", "merge", True), ("loaded", 0, 0, "a", True), ("put", "b", False)]
    )
    client = Client(redis, changes, bulk)
    client.read_to_the_end()
    for place in ("records", "changed", "tombstones"):
        client.tidy(place)
        assert client.records() == {"b": "c2"}
    assert client.held() == {"state", "runs", "changed", "audit"}


def test_what_has_expired_of_the_last_load_goes_without_another_change(redis: Redis) -> None:
    """Its stamp is that of the last thing that the changes have said: nothing is left to read that it stands over."""
    changes, bulk = logged([("started", "merge", True), ("loaded", 0, 0, "a", True), ("received", 0), ("published", 0)])
    client = Client(redis, changes, bulk)
    client.read_to_the_end()
    client.tidy()
    assert client.held() == {"state", "runs", "audit"}


@pytest.mark.parametrize("behind", [Fact("deleted", key="a"), Fact("updated", old_key="a", key="b")])
def test_a_change_that_comes_late_brings_nothing_back(redis: Redis, behind: Fact) -> None:
    """It was parked, and what stands behind it has taken its key away; what nobody has taken away it may still put."""
    parked = Fact("put", key="a")
    client = Client(redis, [Fact("rejected"), behind], [])
    client.read_to_the_end()
    before = client.records()
    assert client.apply_late(0, parked) == 0
    assert client.records() == before
    assert client.apply_late(2, parked) == -1
    assert client.records() == {**before, "a": "c2"}


def test_a_change_that_comes_late_brings_back_nothing_that_has_expired(redis: Redis) -> None:
    """Neither where a change stood over it, nor where a load did."""
    changes, bulk = logged([("put", "b", True), ("started", "merge", True), ("loaded", 0, 0, "a", True)])
    later = [fact._replace(since=fact.since + 2) for fact in bulk]
    client = Client(redis, [Fact("rejected"), Fact("rejected"), *changes], later)
    client.read_to_the_end()
    client.tidy()
    assert [client.apply_late(at, Fact("put", key=key)) for at, key in enumerate("ab")] == [0, 1]
    assert client.records() == {}


@pytest.mark.parametrize("mode", ["merge", "replace"])
@pytest.mark.parametrize("end", [0, 1, 2])
def test_a_loaded_record_that_comes_late_stands_by_the_place_of_its_load(redis: Redis, mode: str, end: int) -> None:
    """While the load is open, received and published; told again it changes nothing."""
    changes, bulk = logged([("started", mode, True), ("loaded", 0, 2, "b", False), ("received", 0), ("published", 0)])
    opened, *behind = bulk
    client = Client(redis, changes, [opened, Fact("rejected"), *behind])
    client.apply("changes", 0, 1)
    client.apply("bulk", 0, 3 + end)
    for _ in range(2):
        assert client.apply_late(1, opened._replace(what="loaded", line=1, key="a"), "bulk") == -1
    assert client.run("r0")[3] == 2
    client.read_to_the_end()
    client.tidy()
    assert client.records() == {"a": "b1", "b": "b2"}


def test_a_loaded_record_that_comes_late_changes_nothing_that_is_newer(redis: Redis) -> None:
    """What a change has put since the load began, or a later load; nor what was replaced or erased."""
    parked = Fact("loaded", run_id="r0", line=1, key="a")
    started: list[tuple[Any, ...]] = [("started", "merge", True)]
    stories: list[list[tuple[Any, ...]]] = [
        [*started, ("put", "a", False)],
        [*started, *started, ("loaded", 0, 0, "a", False)],
        [*started, ("started", "replace", True), ("published", 0)],
        [*started, ("erased",)],
        [("started", "replace", True), ("failed", 0)],
    ]
    for story in stories:
        client = Client(redis, *logged(story))
        client.read_to_the_end()
        before = client.records()
        assert client.apply_late(9, parked, "bulk") == -1
        assert client.records() == before


def test_a_loaded_record_that_comes_late_is_told_where_nobody_knows(redis: Redis) -> None:
    """Which line of one load is the later one, whether its key was deleted since, or what became of its load."""
    parked = Fact("loaded", run_id="r0", line=1, key="a")
    load: list[tuple[Any, ...]] = [("started", "merge", True), ("loaded", 0, 2, "a", False), ("received", 0)]
    stories: list[list[tuple[Any, ...]]] = [load, [load[0], ("published", 0), ("deleted", "a")], []]
    for story in stories:
        client = Client(redis, *logged(story))
        client.read_to_the_end()
        client.tidy()
        before = client.records()
        assert client.apply_late(9, parked, "bulk") == 9
        assert client.records() == before


def test_what_was_refused_is_counted_once(redis: Redis) -> None:
    """A load whose end is told twice, because its answer was lost."""
    changes, bulk = logged([("started", "merge", True), ("received", 0), ("received", 0)])
    bulk = [fact._replace(rejected=5) for fact in bulk]
    client = Client(redis, changes, bulk)
    client.read_to_the_end()
    assert [row["refused"] for row in client.audit()] == [0, 5]


def test_what_was_refused_of_a_broken_upload_is_counted(redis: Redis) -> None:
    """Its failure tells it; a failure that is decided behind its end has nothing to add."""
    changes, bulk = logged([("started", "merge", True), ("failed", 0), ("started", "merge", True), ("received", 0)])
    broken = [fact._replace(rejected=5) for fact in bulk[:2]]
    client = Client(redis, changes, [*broken, bulk[2], bulk[3], bulk[2]._replace(what="failed", rejected=7)])
    client.apply("bulk", 0, 2)
    assert client.run("r0")[2:8] == ["failed", 0, 0, 2, 5, 1]
    client.read_to_the_end()
    assert [row["refused"] for row in client.audit() if row["topic"] == "bulk"] == [5, 0]


@pytest.mark.parametrize(
    ("second", "status"),
    [("abc", "loading"), ("abca", "loading"), ("abb", "failed"), ("cbaa", "failed"), ("ab", "failed")],
)
def test_two_uploads_of_one_name(redis: Redis, second: str, status: str) -> None:
    """At the same time: where the one does not go on as the other one has begun, the load fails."""
    changes, [opened] = logged([("started", "replace", True)])
    client = Client(redis, changes, [opened, *uploaded("abc")[:-1], *uploaded(second)])
    client.read_to_the_end()
    assert client.run("r0")[2] == status


def test_the_last_record_of_an_upload_may_come_late(redis: Redis) -> None:
    """Before the upload's end is read, which names the digest of its last line: it is the same upload."""
    changes, [opened] = logged([("started", "merge", True)])
    first, last, received = uploaded("ab")
    client = Client(redis, changes, [opened, first, Fact("rejected"), received])
    client.apply("bulk", 0, 3)
    assert client.apply_late(2, last, "bulk") == -1
    client.read_to_the_end()
    assert client.run("r0")[2] == "loading"
    assert client.records() == {"a": "b1", "b": "b2"}


def uploaded(upload: str) -> list[Fact]:
    """The records of a load, whose digests are what there was of it by then, and its end."""
    told = [upload[:line].encode().hex() for line in range(1, len(upload) + 1)]
    records = [
        Fact("loaded", run_id="r0", line=at, key=upload[at - 1], digest=so_far) for at, so_far in enumerate(told, 1)
    ]
    return [*records, Fact("received", run_id="r0", digest=told[-1])]
