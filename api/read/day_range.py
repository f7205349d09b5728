"""The days that a report on the books covers: `?from=…&to=…`, whole UTC days."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from litestar.params import QueryParameter

from domain.errors import Fault, InvalidInput

EARLIEST_YEAR, LATEST_YEAR = 1970, 9000
_ONE_DAY = timedelta(days=1)

FromDay = Annotated[
    str | None,
    QueryParameter(name="from", description="The first day, or a time on it, UTC; by default that of the month."),
]
ToDay = Annotated[
    str | None,
    QueryParameter(name="to", description="The day after the last one, or a time on the last; by default tomorrow."),
]


def day_range(start: str | None, end: str | None) -> tuple[date, date]:
    """From, and to, which is not included: all days that the range touches. Raises InvalidInput."""
    if end is None:
        to_day = datetime.now(UTC).date() + _ONE_DAY
    else:
        instant = _instant("to", end)
        to_day = instant.date() if instant.timetz() == time(tzinfo=UTC) else instant.date() + _ONE_DAY
    from_day = (to_day - _ONE_DAY).replace(day=1) if start is None else _instant("from", start).date()
    return from_day, to_day


def _instant(name: str, text: str) -> datetime:
    try:
        # A `+` that was not escaped arrives as a blank.
        instant = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError:
        raise InvalidInput([Fault(name, f"{text!r} is not an ISO 8601 day or time")]) from None
    if not EARLIEST_YEAR <= instant.year <= LATEST_YEAR:
        raise InvalidInput([Fault(name, f"{text!r} is not between {EARLIEST_YEAR} and {LATEST_YEAR}")])
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
