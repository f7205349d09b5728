"""Time and fresh ids, from the machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from uuid_utils import uuid7


class SystemClock:
    """Implements `commands.ports.Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """The same clock that event loops have."""
        return time.monotonic()


def fresh_id() -> str:
    """A UUIDv7 in text; implements `commands.ports.Ids`."""
    return str(uuid7())
