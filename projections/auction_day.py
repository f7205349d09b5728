"""The UTC day of an auction, read from its id: the partition of everything that belongs to it."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

EPOCH = date(1970, 1, 1)
MILLISECONDS_PER_DAY = 86_400_000
DAY_MAX = (date.max - EPOCH).days

UUID_TEXT_CHARS = 36
VERSION_INDEX = 14


@lru_cache(maxsize=1024)
def _date_of(day: int) -> date:
    return EPOCH + timedelta(days=day)


def auction_day(auction_id: str) -> date:
    """The day on which an auction was held. `auction_id` is a UUIDv7 in text; ValueError for anything else."""
    if len(auction_id) != UUID_TEXT_CHARS or auction_id[VERSION_INDEX] != "7":
        raise ValueError(f"{auction_id!r} is not the id of an auction")
    day = int(auction_id[:8] + auction_id[9:13], 16) // MILLISECONDS_PER_DAY
    if day > DAY_MAX:
        raise ValueError(f"{auction_id!r} lies past the end of the calendar")
    return _date_of(day)
