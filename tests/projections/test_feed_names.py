"""Names that come again, of loads, uploads and connectors: what is known of them, how long, and at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import Redis

from domain.limits import FEED_RUNS_KEPT, FEED_RUNS_KEPT_MAX, FEED_UPLOADS_KEPT, FEED_UPLOADS_KEPT_MAX
from tests.projections.feed_model import Fact
from tests.projections.test_feed_order import Client, logged, redis

__all__ = ["redis"]


def test_only_the_latest_runs_are_known(redis: Redis) -> None:
    """Each time the topic is read they are the same ones; a name that was forgotten is that of a new load."""
    load: list[tuple[Any, ...]] = [("started", "merge", True), ("received", 0), ("published", 0)]
    changes, bulk = logged(load * FEED_RUNS_KEPT_MAX)
    again = Fact("opened", run_id="r0", mode="merge", since=len(changes))
    loaded = [again._replace(what="loaded", line=1, key="a"), again._replace(what="published")]
    for cut in (7, 1_000):
        client = Client(redis, [*changes, Fact("started", run_id="r0", mode="merge")], [*bulk, again, *loaded])
        for topic in ("changes", "bulk"):
            while client.ends[topic] < len(client.logs[topic]):
                client.read(topic, cut, 0)
        assert client.records() == {"a": f"b{len(bulk) + 1}"}
        first_known = FEED_RUNS_KEPT_MAX - FEED_RUNS_KEPT
        assert [client.knows(f"r{number}") for number in (1, first_known - 1, first_known)] == [False, False, True]


def test_what_was_told_before_brings_nothing_back(redis: Redis) -> None:
    """A source that tells an older value again, after others have said more, changes nothing; what is new counts."""
    first = [Fact("put", key=key, source="upload/x", place=line) for line, key in enumerate("abc", 1)]
    changes = [*first, Fact("put", key="a"), Fact("deleted", key="b"), *first, Fact("deleted", key="c")]
    again = Fact("put", key="a", source="upload/x", place=4)
    client = Client(redis, [*changes, again], [])
    client.apply("changes", 0, len(changes))
    assert client.records() == {"a": "c3"}
    assert sum(row["stale"] for row in client.audit()) == 3
    client.read_to_the_end()
    assert client.records() == {"a": "c9"}


def test_only_the_latest_uploads_are_known(redis: Redis) -> None:
    """Each time the topic is read they are the same ones; a connector's place is never forgotten."""
    uploads = [Fact("put", key="a", source=f"upload/{number}", place=1) for number in range(FEED_UPLOADS_KEPT_MAX)]
    first = Fact("put", key="b", source="kafka/a topic/0", place=1)
    known = uploads[FEED_UPLOADS_KEPT_MAX - FEED_UPLOADS_KEPT]
    changes = [first, *uploads, known, uploads[0], first]
    for cut in (1, 100):
        client = Client(redis, changes, [])
        while client.ends["changes"] < len(changes):
            client.read("changes", cut, 0)
        assert client.records() == {"a": f"c{len(changes) - 2}", "b": "c0"}


def test_new_names_of_uploads_cost_the_same_each(redis: Redis) -> None:
    """Also where as many are known as are kept."""
    changes = [Fact("put", key="a", source=f"upload/{number}", place=1) for number in range(4 * FEED_UPLOADS_KEPT)]
    few, all_of_them = (_cost_of_reading(Client(redis, changes[:count], [])) for count in (400, len(changes)))
    assert all_of_them < 10 * few * len(changes) / 400


def test_starts_ahead_of_their_loads_cost_the_same_each(redis: Redis) -> None:
    """When all is read again, the changes tell of every load ever made before the first of them is opened."""
    many = [step for _ in range(2_000) for step in (("started", "merge", True), ("received", 0), ("published", 0))]
    few, all_of_them = (_cost_of(redis, many[: 3 * count]) for count in (200, 2_000))
    assert all_of_them < 30 * few


def _cost_of(redis: Redis, story: Sequence[tuple[Any, ...]]) -> float:
    """Microseconds that Redis spends on reading these, all changes first."""
    return _cost_of_reading(Client(redis, *logged(story)))


def _cost_of_reading(client: Client) -> float:
    client.redis.config_resetstat()
    for topic, log in client.logs.items():
        while client.ends[topic] < len(log):
            client.read(topic, 100, 0)
    return float(client.redis.info("commandstats")["cmdstat_evalsha"]["usec"])
