"""Taking back the one engagement of an imp that counts: a refund, where it was paid for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.errors import Fault, IllegalMove, InvalidInput, NotFound
from domain.event_parts import EngagementKind
from domain.events import ClickRecorded, EngagementVoided, Event, ImpressionRecorded
from domain.ledger import kind_of
from domain.limits import REQUEST_ID_MAX_CHARS, VOID_REASON_MAX_CHARS

_TIME_BITS = 48
_RANDOM_BITS = 74
_LOW_BITS = 62
_VERSION, _VARIANT = 7, 2


class VoidOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which engagement of an auction is to count no longer, and why."""

    imp_id: Annotated[str, msgspec.Meta(min_length=1, max_length=REQUEST_ID_MAX_CHARS)]
    kind: EngagementKind
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=VOID_REASON_MAX_CHARS)]


_decode = msgspec.json.Decoder(VoidOrder).decode


def void_order(body: bytes) -> VoidOrder:
    """The order that a JSON body states. Raises InvalidInput."""
    try:
        order = _decode(body)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise InvalidInput([Fault(path.strip(".`"), message)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput([Fault("", f"is not JSON: {error}")]) from None
    if not order.reason.strip():
        raise InvalidInput([Fault("reason", "is blank")])
    return order


def void(
    history: Iterable[Event], auction_id: str, order: VoidOrder, *, at: datetime, command_id: str
) -> EngagementVoided:
    """The refund that `history`, all engagements of the auction as they were logged, has already, or a fresh one.

    It carries the engagement, also where the one in `history` does not.

    Raises NotFound where nothing of that kind happened, IllegalMove where none of it counts.
    """
    history = tuple(history)
    engagement = _counted(history, auction_id, order)
    for each in history:
        if isinstance(each, EngagementVoided) and each.engagement_id == engagement.id:
            return replace(each, engagement=engagement)
    return EngagementVoided(
        id=_id_of_refund(engagement.id),
        at=at,
        correlation_id=auction_id,
        causation_id=command_id,
        auction_id=auction_id,
        imp_id=order.imp_id,
        engagement_id=engagement.id,
        kind=order.kind,
        reason=order.reason,
        engagement=engagement,
    )


def _counted(history: Iterable[Event], auction_id: str, order: VoidOrder) -> ImpressionRecorded | ClickRecorded:
    met = [
        each
        for each in history
        if isinstance(each, ImpressionRecorded | ClickRecorded)
        and each.imp_id == order.imp_id
        and kind_of(each) == order.kind
    ]
    if not met:
        raise NotFound(f"the log has no {order.kind} of the imp {order.imp_id!r} in the auction {auction_id!r}")
    for each in met:
        if each.verdict == "valid" and not each.test:
            return each
    verdicts = ", ".join(sorted({"test" if each.test else each.verdict for each in met}))
    raise IllegalMove([Fault("kind", f"no {order.kind} of this imp counts, so none can be voided: {verdicts}")])


def _id_of_refund(engagement_id: str) -> str:
    """The same for every refund of an engagement: a UUIDv7 of its millisecond, with a digest for chance."""
    milliseconds = UUID(engagement_id).int >> 128 - _TIME_BITS
    digest = int.from_bytes(blake2b(engagement_id.encode(), digest_size=10, person=b"gavel void").digest(), "big")
    chance = digest & (1 << _RANDOM_BITS) - 1
    high, low = chance >> _LOW_BITS, chance & (1 << _LOW_BITS) - 1
    return str(UUID(int=milliseconds << 80 | _VERSION << 76 | high << 64 | _VARIANT << 62 | low))
