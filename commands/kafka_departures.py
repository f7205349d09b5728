"""When batches leave: all of a broker's partitions together, once its previous request is answered.

The producer has one request on its way to each broker. A batch handed over earlier would only lie there, closed,
while the next records start another one: fewer and fuller requests are cheaper and, under load, faster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Generic, Protocol, TypeVar

from domain.limits import LOG_HOLD_MS, LOG_LINGER_MS


class Departing(Protocol):
    """Something that waits to be told to leave."""

    def flush(self) -> None: ...


Traveller = TypeVar("Traveller", bound=Departing)


class Departures(Generic[Traveller]):
    """Collects who wants to leave, and lets them go.

    `busy_brokers` has those that a request was sent to within the last LOG_HOLD_MS and that did not answer it:
    a batch that is stuck for longer does not hold up other partitions' ones.
    """

    def __init__(
        self, broker_of: Callable[[Traveller], int | None], busy_brokers: Callable[[], Collection[int | None]]
    ) -> None:
        self._broker_of = broker_of
        self._busy_brokers = busy_brokers
        self._waiting: list[Traveller] = []
        self._next: dict[float, asyncio.Handle] = {}
        """Departures to come, by their delay in milliseconds: one of each kind is enough."""

    def __repr__(self) -> str:
        return f"Departures({len(self._waiting)} waiting)"

    def after_linger(self, traveller: Traveller) -> None:
        """It has its first record: others may come to travel along."""
        self._waiting.append(traveller)
        self._depart_in(LOG_LINGER_MS)

    def at_once(self, traveller: Traveller) -> None:
        """Its records have waited long enough while the previous batch was on its way."""
        self._waiting.append(traveller)
        self._depart_in(0)

    def answered(self) -> None:
        """A broker may be free."""
        if self._waiting:
            # In the loop's next turn: the other batches of the same request are decided in this one.
            self._depart_in(0)

    def _depart_in(self, delay_ms: float) -> None:
        if delay_ms not in self._next:
            loop = asyncio.get_running_loop()
            self._next[delay_ms] = (
                loop.call_later(delay_ms / 1000, self._depart) if delay_ms else loop.call_soon(self._depart)
            )

    def _depart(self) -> None:
        for departure in self._next.values():
            departure.cancel()
        self._next.clear()
        busy = self._busy_brokers()
        staying = []
        for traveller in self._waiting:
            if busy and self._broker_of(traveller) in busy:
                staying.append(traveller)
            else:
                traveller.flush()
        self._waiting = staying
        if staying:
            self._depart_in(LOG_HOLD_MS)
