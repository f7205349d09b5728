"""Which engagement a refund takes back, and which orders are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from domain.errors import IllegalMove, InvalidInput, NotFound
from domain.events import ClickRecorded, EngagementVoided
from domain.voiding import VoidOrder, void, void_order
from tests.domain.test_ledger import engagement

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
ORDER = VoidOrder(imp_id="1", kind="impression", reason="The page was a fake.")


def voided(*history: Any, order: VoidOrder = ORDER) -> EngagementVoided:
    return void(history, "auction", order, at=NOW, command_id="command")


def test_the_one_that_counts_is_taken_back() -> None:
    """Of several hits the first valid one is named, and carried whole."""
    robot = engagement(verdict="bot", id="0193a1f0-5c06-7a00-8000-000000000001")
    first = engagement(id="0193a1f0-5c06-7a00-8000-000000000002")
    second = engagement(id="0193a1f0-5c06-7a00-8000-000000000003")
    refund = voided(robot, replace(first, imp_id="2"), engagement(ClickRecorded), first, second)
    assert refund.engagement == first
    assert (refund.engagement_id, refund.kind, refund.reason) == (first.id, "impression", "The page was a fake.")
    assert refund.at == NOW


def test_a_refund_is_the_same_whoever_gives_it() -> None:
    """Its id follows from the engagement, so that two of them are one; and it is a UUIDv7 of that millisecond."""
    first = engagement()
    other = void([first], "auction", ORDER, at=NOW + timedelta(hours=1), command_id="another")
    assert voided(first).id == other.id != voided(replace(first, id="0193a1f0-5c06-7a00-8000-000000000007")).id
    assert UUID(other.id).version == 7
    assert other.id[:13] == first.id[:13]


def test_what_was_voided_stays_as_it_was() -> None:
    """Asked again, with another reason, the answer is the refund that the log has."""
    first = engagement()
    refund = voided(first)
    assert voided(first, refund, order=replace(ORDER, reason="Another one.")) == refund


def test_nothing_of_that_kind() -> None:
    """Neither another imp's impression nor a click is taken for it."""
    with pytest.raises(NotFound, match="no impression of the imp '1'"):
        voided(engagement(imp_id="2"), engagement(ClickRecorded))


def test_nothing_that_counts() -> None:
    """The verdicts are named."""
    with pytest.raises(IllegalMove, match="bot, test"):
        voided(engagement(verdict="bot"), engagement(test=True))


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", ""),
        (b"[]", ""),
        (b'{"imp_id":"1","kind":"impression"}', ""),
        (b'{"imp_id":"1","kind":"view","reason":"x"}', "kind"),
        (b'{"imp_id":"","kind":"click","reason":"x"}', "imp_id"),
        (b'{"imp_id":"1","kind":"click","reason":" "}', "reason"),
        (b'{"imp_id":"1","kind":"click","reason":7}', "reason"),
        (msgspec.json.encode({"imp_id": "1", "kind": "click", "reason": "x" * 1_001}), "reason"),
        (b'{"imp_id":"1","kind":"click","reason":"x","amount":3}', ""),
        (b'{"imp_id":"\xff"}', ""),
        (b"[" * 10_000, ""),
    ],
)
def test_orders_that_make_no_sense(body: bytes, path: str) -> None:
    """They are refused with the field that is wrong."""
    with pytest.raises(InvalidInput) as refused:
        void_order(body)
    assert [fault.path for fault in refused.value.faults] == [path]
