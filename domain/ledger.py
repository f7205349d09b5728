"""What an engagement costs, and whose accounts that concerns.

Double entry: a charge is one entry with three postings. The buyer owes (debit), the publisher has earned its share
and the exchange its fee (credit); debit and credit are the same, to the nano-unit. A refund is the same entry, turned.

Days are UTC. A closed day never changes: what is logged behind the closing of its day, in its partition of the log,
is booked on the first day that is still open there. So the log alone says what is booked when.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal, NamedTuple, cast, get_args

from domain.errors import CorruptEvent, Fault, InvalidInput
from domain.event_parts import EngagementKind
from domain.events import ClickRecorded, Engagement

EntryKind = Literal["charge", "refund"]
AccountKind = Literal["bidder", "advertiser", "publisher", "exchange"]

EXCHANGE = "exchange"
"""The exchange's own account; the others are named by their kind and the id of whose they are, `publisher:…`."""
ACCOUNT_ID_MAX_BYTES = 255
"""An id in a bid request may be of any length, and an account has to fit into an index."""
_ONE_DAY = timedelta(days=1)


class Unbalanced(CorruptEvent):
    """Share and fee of an engagement do not add up to what it costs: no entry can be made of it."""


class Charge(NamedTuple):
    """What the first valid engagement of its kind costs, in nano-units: spend is revenue and fee."""

    currency: str
    buyer: str
    """Account."""
    publisher: str
    """Account."""
    campaign_id: str
    """Empty for a bidder's bid."""
    spend_nanos: int
    revenue_nanos: int
    fee_nanos: int


class Posting(NamedTuple):
    """One side of an entry."""

    account: str
    debit_nanos: int
    credit_nanos: int


class UnknownAccount(ValueError):
    """The text does not name an account."""


def kind_of(engagement: Engagement) -> EngagementKind:
    return "click" if isinstance(engagement, ClickRecorded) else "impression"


def can_cost(engagement: Engagement) -> bool:
    """Whether it costs something if it is the first of its kind for its imp of which this is true.

    The first one settles it, also where that one is free because its campaign had no budget left.
    """
    return engagement.verdict == "valid" and not engagement.test and engagement.charged_on == kind_of(engagement)


def charge_of(engagement: Engagement) -> Charge | None:
    """What an engagement that `can_cost` does cost; None where it is free. Raises Unbalanced."""
    if not engagement.charged:
        return None
    spend, revenue, fee = engagement.clearing_price_micros, engagement.revenue_micros, engagement.fee_micros
    if spend != revenue + fee or revenue < 0 or fee < 0:
        raise Unbalanced(f"{revenue} for the publisher and {fee} for the exchange are not the {spend} that are owed")
    return Charge(
        engagement.currency,
        _buyer(engagement),
        account("publisher", engagement.inventory.publisher_id),
        engagement.campaign_id or "",
        spend,
        revenue,
        fee,
    )


def postings(charge: Charge, kind: EntryKind) -> tuple[Posting, Posting, Posting]:
    """The entry of a charge or of its refund; debits and credits are the same."""
    sides = (
        Posting(charge.buyer, charge.spend_nanos, 0),
        Posting(charge.publisher, 0, charge.revenue_nanos),
        Posting(EXCHANGE, 0, charge.fee_nanos),
    )
    if kind == "charge":
        return sides
    buyer, publisher, exchange = (Posting(each.account, each.credit_nanos, each.debit_nanos) for each in sides)
    return buyer, publisher, exchange


def booking_day(happened_on: date, closed_through: date | None) -> date:
    """The day itself, or the first one that is open."""
    if closed_through is None or happened_on > closed_through:
        return happened_on
    return closed_through + _ONE_DAY


def check_is_over(day: date, today: date) -> None:
    """Raises InvalidInput for a day that can still get entries of its own."""
    if day >= today:
        raise InvalidInput([Fault("day", f"{day} is not over: the last day that can be closed is {today - _ONE_DAY}")])


def account(kind: AccountKind, whose: str) -> str:
    """The account of a bidder, an advertiser or a publisher; an id that is too long is cut."""
    return f"{kind}:{whose.encode()[:ACCOUNT_ID_MAX_BYTES].decode(errors='ignore')}"


def kind_of_account(text: str) -> AccountKind:
    """Raises UnknownAccount."""
    if text == EXCHANGE:
        return "exchange"
    named, separator, _ = text.partition(":")
    for kind in get_args(AccountKind):
        if separator and named == kind != EXCHANGE:
            return cast("AccountKind", kind)
    raise UnknownAccount(f"{text!r} is not '{EXCHANGE}', 'publisher:ID', 'bidder:ID' or 'advertiser:ID'")


def _buyer(engagement: Engagement) -> str:
    if engagement.advertiser_id is not None:
        return account("advertiser", engagement.advertiser_id)
    return account("bidder", engagement.bidder_id)
