"""How much is measured: enough for a figure, or just enough to see that everything runs."""

from __future__ import annotations

import msgspec


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Operations of one round of each contender, and the number of rounds."""

    rounds: int
    auctions: int
    parts: int
    """Operations of one round of a part of an auction."""
    impressions: int
    replayed_auctions: int
    """Auctions whose events fill the topic that projections replay."""
    sourced_auctions: int
    """Of those, whose events the `eventsourcing` library replays."""
    hour_auctions: int
    hour_rate: int
    """Auctions a second that the condensed hour is sent at."""
    audit_auctions: int
    audit_rate: int
    """A second."""
    bursts: tuple[int, ...]
    """Impressions of each burst of the load test."""
    connections: tuple[int, ...]
    """Over which each burst is sent."""
    rebuild_events: int
    """In the log that is rebuilt."""
    rebuild_rounds: int
    rebuild_window_events: int
    """Of that log, over which the CPU of one worker process and of two is compared."""
    rebuild_live_rate: int
    """Auctions and pixels a second, together, during a rebuild."""
    feed_bench_records: int
    """Of the topic that a Redis is filled from."""
    feed_look_ups: int
    feed_records: int
    """That the drill of feeds loads."""
    feed_changes: int


FULL = Size(
    rounds=5,
    auctions=4_000,
    parts=4_000,
    impressions=10_000,
    replayed_auctions=60_000,
    sourced_auctions=1_000,
    hour_auctions=200_000,
    hour_rate=400,
    audit_auctions=500_000,
    audit_rate=300,
    bursts=(25_000, 100_000),
    connections=(200, 1_000, 2_000),
    rebuild_events=5_000_000,
    rebuild_rounds=3,
    rebuild_window_events=500_000,
    rebuild_live_rate=100,
    feed_bench_records=200_000,
    feed_look_ups=5_000,
    feed_records=5_000_000,
    feed_changes=200_000,
)
SMOKE = Size(
    rounds=2,
    auctions=400,
    parts=400,
    impressions=1_000,
    replayed_auctions=2_000,
    sourced_auctions=100,
    hour_auctions=2_000,
    hour_rate=100,
    audit_auctions=6_000,
    audit_rate=60,
    bursts=(500,),
    connections=(20, 250),
    rebuild_events=20_000,
    rebuild_rounds=1,
    rebuild_window_events=10_000,
    rebuild_live_rate=40,
    feed_bench_records=20_000,
    feed_look_ups=200,
    feed_records=40_000,
    feed_changes=4_000,
)
