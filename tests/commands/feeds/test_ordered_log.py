"""What a client's events do that are on their way into a log which does not answer as it should."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count

import pytest

from commands.feeds.ordered_log import OrderedLog
from commands.ports import Position
from domain.errors import LogUnavailable
from domain.events import Event
from domain.feed_events import FeedLoadStarted
from domain.limits import FEED_LOG_PATIENCE_SECONDS


class HastyClock:
    """Half of the patience passes between two looks at it."""

    def __init__(self) -> None:
        self._passed = count(0.0, FEED_LOG_PATIENCE_SECONDS / 2)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return next(self._passed)


class LogWithoutPlaces:
    """It writes, and does not say where."""

    def __init__(self) -> None:
        self.appended = 0

    async def append(self, topic: str, _key: str, events: Sequence[Event]) -> Position:
        self.appended += len(events)
        return Position(topic, 0, -1)


async def test_a_place_is_not_asked_for_for_ever() -> None:
    """A log that never says where the event stands is given up like one that is away."""
    log = LogWithoutPlaces()
    head = {"id": "e", "at": datetime.now(UTC), "correlation_id": "c", "causation_id": "r"}
    with pytest.raises(LogUnavailable, match="where"):
        await OrderedLog(log, "changes", "c", HastyClock()).place(
            FeedLoadStarted(**head, client="c", run_id="r", mode="merge")
        )
    assert log.appended == 2
