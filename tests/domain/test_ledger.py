"""What an engagement costs, and on which day it is booked."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.event_parts import Inventory
from domain.events import ClickRecorded, Engagement, ImpressionRecorded
from domain.ledger import (
    EntryKind,
    Posting,
    Unbalanced,
    UnknownAccount,
    account,
    booking_day,
    can_cost,
    charge_of,
    check_is_over,
    kind_of_account,
    postings,
)

TODAY = date(2026, 11, 21)


def engagement(kind: type[Engagement] = ImpressionRecorded, **changes: Any) -> Engagement:
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    stated: dict[str, Any] = {
        "id": "0193a1f0-5c06-7a00-8000-000000000006",
        "at": at,
        "correlation_id": "auction",
        "causation_id": "auction",
        "auction_id": "auction",
        "imp_id": "1",
        "bidder_id": "b-1",
        "bid_id": "bid",
        "verdict": "valid",
        "price_micros": 2_000_000,
        "clearing_price_micros": 1_000_001,
        "revenue_micros": 800_000,
        "fee_micros": 200_001,
        "currency": "USD",
        "inventory": Inventory(publisher_id="p-1"),
        "awarded_at": at,
    }
    return kind(**stated | changes)


@pytest.mark.parametrize(
    ("kind", "changes", "expected"),
    [
        (ImpressionRecorded, {}, True),
        (ImpressionRecorded, {"charged_on": "click"}, False),
        (ClickRecorded, {}, False),
        (ClickRecorded, {"charged_on": "click"}, True),
        (ClickRecorded, {"charged_on": "click", "charged": False}, True),
        (ImpressionRecorded, {"test": True}, False),
        *((ImpressionRecorded, {"verdict": verdict}, False) for verdict in ("duplicate", "expired", "bot", "test")),
    ],
)
def test_what_can_cost(kind: type[Engagement], changes: dict[str, Any], expected: bool) -> None:
    """Valid engagements of the kind that is charged, in earnest; a free click settles its imp as well."""
    assert can_cost(engagement(kind, **changes)) is expected


def test_the_sides_of_a_charge() -> None:
    """A bidder owes what publisher and exchange have earned; a refund is the same entry, turned."""
    charge = charge_of(engagement())
    assert charge is not None
    assert postings(charge, "charge") == (
        Posting("bidder:b-1", 1_000_001, 0),
        Posting("publisher:p-1", 0, 800_000),
        Posting("exchange", 0, 200_001),
    )
    assert postings(charge, "refund") == (
        Posting("bidder:b-1", 0, 1_000_001),
        Posting("publisher:p-1", 800_000, 0),
        Posting("exchange", 200_001, 0),
    )


def test_an_advertiser_owes_for_its_campaign() -> None:
    """Of the exchange's own campaigns it is the advertiser who owes, not the bidder that stands in for them."""
    charge = charge_of(engagement(bidder_id="direct", advertiser_id="a-1", campaign_id="c-1"))
    assert charge is not None
    assert (charge.buyer, charge.campaign_id) == ("advertiser:a-1", "c-1")


def test_a_free_click_has_no_charge() -> None:
    """Its campaign had no budget left."""
    assert charge_of(engagement(ClickRecorded, charged_on="click", charged=False)) is None


@given(st.integers(0, 10**15), st.integers(0, 10**15), st.sampled_from(["charge", "refund"]))
def test_every_entry_balances(revenue: int, fee: int, kind: EntryKind) -> None:
    """Whatever the share, debits and credits are the same, and nothing is lost to rounding."""
    charge = charge_of(engagement(clearing_price_micros=revenue + fee, revenue_micros=revenue, fee_micros=fee))
    assert charge is not None
    sides = postings(charge, kind)
    assert sum(each.debit_nanos for each in sides) == sum(each.credit_nanos for each in sides) == revenue + fee


@pytest.mark.parametrize(("spend", "revenue", "fee"), [(10, 5, 4), (10, 11, -1), (10, -1, 11), (-2, -1, -1)])
def test_no_entry_without_balance(spend: int, revenue: int, fee: int) -> None:
    """Figures that do not add up, or that would owe somebody who sells, never reach the books."""
    with pytest.raises(Unbalanced):
        charge_of(engagement(clearing_price_micros=spend, revenue_micros=revenue, fee_micros=fee))


@pytest.mark.parametrize(
    ("happened", "closed", "booked"),
    [(20, None, 20), (20, 19, 20), (20, 20, 21), (18, 20, 21), (22, 20, 22)],
)
def test_the_day_of_booking(happened: int, closed: int | None, booked: int) -> None:
    """The day itself; where that is closed, the first day that is open."""
    closed_through = None if closed is None else date(2026, 11, closed)
    assert booking_day(date(2026, 11, happened), closed_through) == date(2026, 11, booked)


@pytest.mark.parametrize("day", [TODAY, date(2026, 11, 22)])
def test_only_days_that_are_over_are_closed(day: date) -> None:
    """Today can still get entries, and the last day that can be closed is named."""
    with pytest.raises(InvalidInput, match="2026-11-20"):
        check_is_over(day, TODAY)
    check_is_over(date(2026, 11, 20), TODAY)


@pytest.mark.parametrize("text", ["exchange", "publisher:p", "publisher:", "bidder:b:c", "advertiser:ä"])
def test_names_of_accounts(text: str) -> None:
    """A kind and whose it is; a publisher may be unknown, and an id may hold anything."""
    assert kind_of_account(text) == text.partition(":")[0]


@pytest.mark.parametrize("text", ["", "publisher", "exchange:", "bank:x", ":p", "Publisher:p"])
def test_texts_that_are_no_accounts(text: str) -> None:
    """They are refused with the forms that there are."""
    with pytest.raises(UnknownAccount, match="publisher:ID"):
        kind_of_account(text)


def test_an_account_fits_into_an_index() -> None:
    """A publisher's id from a bid request is cut after the last whole character that fits."""
    assert account("publisher", "ä" * 1_000) == "publisher:" + "ä" * 127
