"""Events that are good enough to be logged."""

from __future__ import annotations

import random
import string
from datetime import UTC, datetime

import uuid_utils

from domain.event_parts import Inventory
from domain.events import AuctionUnsold


def fresh_id() -> str:
    return str(uuid_utils.uuid7())


def auction_events(auction_id: str, count: int, *, padding: str = "") -> list[AuctionUnsold]:
    """`count` events of one auction, numbered by `imp_id`."""
    return [
        AuctionUnsold(
            id=fresh_id(),
            at=datetime.now(UTC),
            correlation_id=auction_id,
            causation_id=auction_id,
            auction_id=auction_id,
            imp_id=str(number),
            reason=f"No bidder.{padding}",
            inventory=Inventory(),
            held_ms=1.0,
        )
        for number in range(count)
    ]


def incompressible(length: int) -> str:
    return "".join(random.Random(length).choices(string.ascii_letters + string.digits, k=length))
