"""The range of time that a report covers: `?from=…&to=…`, and the zone whose hours are meant: `?tz=…`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from litestar.params import QueryParameter

from domain.errors import Fault, InvalidInput

RANGE_DEFAULT = timedelta(hours=24)
EARLIEST_YEAR, LATEST_YEAR = 1970, 9000
"""Room at both ends for other zones and the default range."""

From = Annotated[
    str | None,
    QueryParameter(
        name="from", description="ISO 8601, in the report's zone (UTC) where it names none; by default a day ago."
    ),
]
To = Annotated[str | None, QueryParameter(name="to", description="Exclusive; by default the end of this hour.")]


def time_range(start: str | None, end: str | None, zone: tzinfo = UTC) -> tuple[datetime, datetime]:
    """From and to. Raises InvalidInput for a text that is no time, or one that no report can reach."""
    to_time = _instant("to", end, zone) if end else _end_of_hour(datetime.now(zone))
    from_time = _instant("from", start, zone) if start else to_time - RANGE_DEFAULT
    return from_time, to_time


def zone_named(name: str) -> ZoneInfo:
    """A zone of the IANA's list. Raises InvalidInput for any other name."""
    if name not in _zones():
        raise InvalidInput([Fault("tz", f"{name!r} is not a time zone such as Europe/Berlin or Asia/Kolkata")])
    return ZoneInfo(name)


@cache
def _zones() -> frozenset[str]:
    """Those of the machine and of the package `tzdata`; the latter's are the same everywhere."""
    return frozenset(name for name in available_timezones() if name not in ("localtime", "Factory"))


def _instant(name: str, text: str, zone: tzinfo) -> datetime:
    try:
        # A `+` that was not escaped arrives as a blank.
        instant = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError:
        raise InvalidInput([Fault(name, f"{text!r} is not an ISO 8601 time")]) from None
    if not EARLIEST_YEAR <= instant.year <= LATEST_YEAR:
        raise InvalidInput([Fault(name, f"{text!r} is not between {EARLIEST_YEAR} and {LATEST_YEAR}")])
    return instant.replace(tzinfo=zone) if instant.tzinfo is None else instant


def _end_of_hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
