"""The books computed from nothing but the log's events: what the read model `ledger` is held against.

No database and no SQL: whatever judges there is not what judges here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from domain.event_parts import EngagementKind
from domain.events import ClickRecorded, EngagementVoided, Event, ImpressionRecorded, LedgerDayClosed
from domain.ledger import Charge, EntryKind, booking_day, can_cost, charge_of, kind_of


class Line(NamedTuple):
    """What entries are summed by."""

    booked_on: date
    currency: str
    buyer: str
    publisher: str
    campaign_id: str
    kind: EntryKind


class Sums(NamedTuple):
    """Of a line, in nano-units."""

    entries: int
    spend_nanos: int
    revenue_nanos: int
    fee_nanos: int


BOOKED = (ImpressionRecorded, ClickRecorded, EngagementVoided, LedgerDayClosed)
"""The events that the books follow from."""
NOTHING = Sums(0, 0, 0, 0)


class Books:
    """Takes the events of the log partition by partition, those of one in their order."""

    def __init__(self) -> None:
        self._sums: defaultdict[Line, Sums] = defaultdict(lambda: NOTHING)
        self._begin()

    def _begin(self) -> None:
        self._closed_through: date | None = None
        self._settled: dict[tuple[str, str, EngagementKind], tuple[str, Charge | None]] = {}
        """The engagement that settles what an imp costs, and its charge as long as it can be refunded."""

    @property
    def sums(self) -> Mapping[Line, Sums]:
        return self._sums

    def end_partition(self) -> None:
        """What comes next stands in another partition: it has nothing to do with what came so far."""
        self._begin()

    def take(self, event: Event) -> None:
        """Raises Unbalanced for an engagement that no entry can be made of."""
        match event:
            case LedgerDayClosed():
                self._closed_through = max(event.day, self._closed_through or event.day)
            case EngagementVoided():
                place = (event.auction_id, event.imp_id, event.kind)
                event_id, charge = self._settled.get(place, ("", None))
                if event_id == event.engagement_id and charge is not None:
                    self._settled[place] = (event_id, None)
                    self._book(event, charge, "refund")
            case ImpressionRecorded() | ClickRecorded() if can_cost(event):
                place = (event.auction_id, event.imp_id, kind_of(event))
                if place not in self._settled:
                    charge = charge_of(event)
                    self._settled[place] = (event.id, charge)
                    if charge is not None:
                        self._book(event, charge, "charge")

    def _book(self, event: Event, charge: Charge, kind: EntryKind) -> None:
        day = booking_day(event.at.date(), self._closed_through)
        line = Line(day, charge.currency, charge.buyer, charge.publisher, charge.campaign_id, kind)
        entries, spend, revenue, fee = self._sums[line]
        self._sums[line] = Sums(
            entries + 1, spend + charge.spend_nanos, revenue + charge.revenue_nanos, fee + charge.fee_nanos
        )
