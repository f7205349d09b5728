"""What is kept of a feed client's uploads that have ended, and of loads that never came to a record."""

from __future__ import annotations

from typing import cast

from redis import Redis

from tests.projections.feed_model import Fact
from tests.projections.test_feed_order import CLIENT, Client, logged, redis

__all__ = ["redis"]


def test_a_load_that_was_only_started_takes_nobodys_place(redis: Redis) -> None:
    """Given up, it is known to have failed; what comes of it later is passed over, whichever topic is ahead."""
    first, second = ("started", "replace", True), ("started", "merge", False)
    changes, bulk = logged(
        [first, ("loaded", 0, 0, "a", False), second, ("failed", 0), ("opened", 0), ("loaded", 0, 0, "b", False)]
    )
    for order in (("changes", "bulk"), ("bulk", "changes")):
        client = Client(redis, changes, bulk)
        for topic in order:
            client.apply(topic, 0, len(client.logs[topic]))
        assert [client.run(run_id)[2] for run_id in ("r0", "r1")] == ["receiving", "failed"]
        assert "started" not in client.held()
        assert client.apply("bulk", 0, len(bulk)) == 0
    end = [Fact("published", run_id="r0", since=0, mode="replace")]
    client = Client(redis, changes, [*bulk, *end])
    client.read_to_the_end()
    assert client.records() == {"a": "b1"}


def test_the_end_of_an_upload_is_kept(redis: Redis) -> None:
    """Its place, its offset, its figures and its digest; of one without a change, or an older one, no digest."""
    ends = [Fact("changes_received", source=f"upload/{digest}", place=9, digest=digest) for digest in ("k0f", "")]
    client = Client(redis, ends, [])
    client.read_to_the_end()
    kept = [cast("bytes", redis.hget(f"{CLIENT}sources", each.source)).decode() for each in ends]
    assert [each.split() for each in kept] == [["9", "0", "2", "3", "k0f"], ["9", "1", "2", "3"]]


def test_refused_lines_of_changes_are_counted_once(redis: Redis) -> None:
    """The end of an upload that is told twice, and those of two uploads without a name."""
    named, unnamed = Fact("changes_received", source="upload/x", place=9), Fact("changes_received")
    client = Client(redis, [named, named, unnamed, unnamed], [])
    client.read_to_the_end()
    assert [(row["refused"], row["marks"]) for row in client.audit()] == [(9, 4)]
