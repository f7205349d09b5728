"""Close a day of the books: its mark is logged behind all that was booked on it, in every partition."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from commands.ports import Clock, Ids, LogOfPartitions, Position
from domain.events import LedgerDayClosed
from domain.ledger import check_is_over
from domain.names import Names


class CloseLedgerDay:
    """The command of `POST /v1/ledger/days/{day}/close` and `gavel ledger close`."""

    def __init__(self, *, log: LogOfPartitions, names: Names, clock: Clock, ids: Ids) -> None:
        self._log = log
        self._names = names
        self._clock = clock
        self._ids = ids

    async def __call__(self, day: date, *, command_id: str) -> Sequence[Position]:
        """Where the marks stand. Run again, also after it came to no end, it closes what is still open, and no more.

        Raises InvalidInput for a day that is not over, LogUnavailable and Overloaded.
        """
        now = self._clock.now()
        check_is_over(day, now.date())

        def mark(partition: int, partitions: int) -> LedgerDayClosed:
            return LedgerDayClosed(
                id=self._ids(),
                at=now,
                correlation_id=f"ledger {day}",
                causation_id=command_id,
                day=day,
                partition=partition,
                partitions=partitions,
            )

        return await self._log.append_everywhere(self._names.engagements, f"ledger {day}", mark)
