"""The books in Postgres against an auditor's, on a real log."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime

import asyncpg
import pytest
from msgspec.structs import replace

from domain import events
from domain.event_parts import Inventory
from projections.dead_letters import DeadLetters, Tried
from projections.operations import verify
from projections.rebuild import rebuild
from tests.conftest import PARTITIONS
from tests.projections.bookkeeping import Bookkeeping
from tests.projections.books import Sums, books_in, books_of, logged_by_partition
from tests.projections.conftest import ReadSide

DAY = date(2026, 11, 20)
NEXT_DAY = date(2026, 11, 21)


@pytest.fixture
def bookkeeping(read_side: ReadSide) -> Bookkeeping:
    return Bookkeeping(read_side, 7)


def spend(books: Sums, kind: str = "charge") -> int:
    return sum(row["spend"] for line, row in books.items() if line[-1] == kind)


async def test_the_books_are_what_an_auditor_counts(read_side: ReadSide, bookkeeping: Bookkeeping) -> None:
    """Duplicates, clicks that are charged or free, refunds and closed days, in several batches and after a rebuild."""
    refundable: list[events.Engagement] = []
    async with read_side.running("ledger"):
        for step in range(3):
            await read_side.log.append_traffic(bookkeeping.traffic, 100)
            for number in range(10):
                click = bookkeeping.of_campaign(events.ClickRecorded, charged=number % 3 > 0)
                impression = bookkeeping.engagement()
                await bookkeeping.log([click, impression, click, replace(click, id=impression.id), impression])
                refundable += [click, impression]
            await bookkeeping.log(bookkeeping.void(each) for each in refundable[:: 3 - step])
            if step < 2:
                await bookkeeping.close(DAY)
            await read_side.caught_up("ledger")
            expected = books_of(await logged_by_partition(read_side))
            assert await books_in(read_side) == expected
    assert {line[0] for line in expected} == {"2026-11-20", "2026-11-21"}
    assert {line[-1] for line in expected} == {"charge", "refund"}
    assert {line[2].partition(":")[0] for line in expected} == {"bidder", "advertiser"}
    await rebuild(read_side.addresses, "ledger")
    assert await books_in(read_side) == expected
    assert await read_side.fetch("SELECT * FROM dead_letters") == []


async def test_a_refund_is_given_once(bookkeeping: Bookkeeping) -> None:
    """However often it is logged, in one batch or in another, under one id or several."""
    paid = bookkeeping.engagement()
    await bookkeeping.log([paid, bookkeeping.void(paid), bookkeeping.void(paid)])
    assert spend(await bookkeeping.books(), "refund") == paid.clearing_price_micros
    await bookkeeping.log([bookkeeping.void(paid)])
    books = await bookkeeping.books()
    assert spend(books, "refund") == spend(books) == paid.clearing_price_micros
    assert sum(row["entries"] for row in books.values()) == 2


async def test_after_a_refund_nobody_pays_for_a_second_hit(bookkeeping: Bookkeeping) -> None:
    """The first valid engagement settles what an imp costs, also once it is given back."""
    paid = bookkeeping.engagement()
    await bookkeeping.log([paid, bookkeeping.void(paid), replace(paid, id=bookkeeping.traffic.id_at(paid.at))])
    assert spend(await bookkeeping.books()) == paid.clearing_price_micros


async def test_what_was_not_paid_is_not_given_back(bookkeeping: Bookkeeping) -> None:
    """Refunds that name a robot's hit, a second one, a free click, or nothing that is known, change nothing."""
    robot = bookkeeping.engagement(verdict="bot")
    paid = bookkeeping.engagement()
    second = replace(paid, id=bookkeeping.traffic.id_at(paid.at))
    free = bookkeeping.of_campaign(events.ClickRecorded, charged=False)
    unknown = bookkeeping.engagement()
    await bookkeeping.log([robot, paid, second, free])
    await bookkeeping.log(bookkeeping.void(each) for each in (robot, second, free, unknown))
    books = await bookkeeping.books()
    assert spend(books) == paid.clearing_price_micros
    assert {line[-1] for line in books} == {"charge"}


async def test_the_other_kind_is_free(bookkeeping: Bookkeeping) -> None:
    """Of a campaign that pays for clicks no impression costs, and of one that pays for impressions no click."""
    await bookkeeping.log(
        [bookkeeping.of_campaign(events.ImpressionRecorded), bookkeeping.engagement(events.ClickRecorded)]
    )
    assert await bookkeeping.books() == {}


async def test_a_free_click_settles_it(bookkeeping: Bookkeeping) -> None:
    """A second valid click does not cost what the first one did not."""
    free = bookkeeping.of_campaign(events.ClickRecorded, charged=False)
    await bookkeeping.log([free, replace(free, id=bookkeeping.traffic.id_at(free.at), charged=True)])
    assert await bookkeeping.books() == {}


def days(books: Sums) -> Counter[tuple[str, str]]:
    return Counter({(line[0], line[-1]): row["entries"] for line, row in books.items()})


@pytest.mark.parametrize("in_one_batch", [True, False])
async def test_a_closed_day_does_not_change(bookkeeping: Bookkeeping, in_one_batch: bool) -> None:
    """What comes behind its closing is booked on the next day that is open, refunds too."""
    evening = datetime(2026, 11, 20, 23, tzinfo=UTC)

    def impression() -> events.Engagement:
        return bookkeeping.engagement(at=evening, currency="USD", inventory=Inventory(publisher_id="p"))

    early, late = impression(), impression()
    await bookkeeping.log([early])
    if not in_one_batch:
        assert days(await bookkeeping.books()) == {("2026-11-20", "charge"): 1}
    await bookkeeping.close(DAY)
    await bookkeeping.log([late, bookkeeping.void(early, at=evening)])
    expected = {("2026-11-20", "charge"): 1, ("2026-11-21", "charge"): 1, ("2026-11-21", "refund"): 1}
    assert days(await bookkeeping.books()) == expected
    await bookkeeping.close(NEXT_DAY)
    await bookkeeping.close(DAY)
    await bookkeeping.log([impression()])
    assert days(await bookkeeping.books()) == {**expected, ("2026-11-22", "charge"): 1}


async def refuse(read_side: ReadSide, table: str, *, all_but: str) -> None:
    """Makes the database refuse rows, as a table does that a release has forgotten something in."""
    schema = await _schema(read_side)
    await read_side.fetch(f"ALTER TABLE {schema}.{table} ADD CONSTRAINT forgotten CHECK ({all_but}) NOT VALID")


async def allow(read_side: ReadSide, table: str) -> None:
    await read_side.fetch(f"ALTER TABLE {await _schema(read_side)}.{table} DROP CONSTRAINT forgotten")


async def _schema(read_side: ReadSide) -> str:
    return f"ledger_g{await _active(read_side)}"


async def _active(read_side: ReadSide) -> int:
    [(number,)] = await read_side.fetch("SELECT active_generation FROM projections WHERE projection = 'ledger'")
    return int(number)


async def test_a_letter_is_booked_by_its_place(read_side: ReadSide, bookkeeping: Bookkeeping) -> None:
    """A charge and its refund that are retried after their day was closed: as the log has it, and so has a rebuild."""
    evening = datetime(2026, 11, 20, 23, tzinfo=UTC)
    early, behind, late = [bookkeeping.engagement(at=evening, currency="USD") for _ in range(3)]
    good = f"auction_id NOT IN ('{early.auction_id}', '{late.auction_id}')"
    await bookkeeping.log([bookkeeping.engagement(at=datetime(2026, 11, 22, tzinfo=UTC))])
    await bookkeeping.books()
    await refuse(read_side, "ledger_charges", all_but=good)
    await bookkeeping.log([early, bookkeeping.void(early, at=evening)])
    await bookkeeping.close(DAY)
    await bookkeeping.log([behind, late])
    await bookkeeping.close(NEXT_DAY)
    await bookkeeping.books()
    await allow(read_side, "ledger_charges")
    desk = DeadLetters(read_side.addresses)
    assert await desk.retry_all("ledger", by="an operator") == Tried(3, 0)
    expected = books_of(await logged_by_partition(read_side))
    assert await books_in(read_side) == expected
    assert {("2026-11-20", "charge"), ("2026-11-20", "refund"), ("2026-11-21", "charge")} < days(expected).keys()
    async with read_side.running("ledger"):
        before = await _active(read_side)
        await rebuild(read_side.addresses, "ledger")
        assert (await verify(read_side.addresses, "ledger", before)).is_equal
    assert await books_in(read_side) == expected


async def test_a_closing_that_comes_too_late(read_side: ReadSide, bookkeeping: Bookkeeping) -> None:
    """What stands behind it is booked: its retry is refused with the way out, and a rebuild books what the log says."""
    evening = datetime(2026, 11, 20, 23, tzinfo=UTC)
    await bookkeeping.log([bookkeeping.engagement(at=datetime(2026, 11, 22, tzinfo=UTC))])
    await bookkeeping.books()
    await refuse(read_side, "ledger_closings", all_but="partition <> 0")
    await bookkeeping.close(DAY)
    await bookkeeping.log(bookkeeping.engagement(at=evening) for _ in range(20))
    await bookkeeping.books()
    await allow(read_side, "ledger_closings")
    tried = await DeadLetters(read_side.addresses).retry_all("ledger", by="an operator")
    assert (tried.applied, tried.waiting) == (0, 1)
    assert tried.error is not None
    assert "gavel projections rebuild ledger --accept-differences" in tried.error
    expected = books_of(await logged_by_partition(read_side))
    assert await books_in(read_side) != expected
    async with read_side.running("ledger"):
        await rebuild(read_side.addresses, "ledger", accept_differences=True)
    assert await books_in(read_side) == expected
    assert {line[0] for line in expected} == {"2026-11-21", "2026-11-22"}


async def test_a_closing_that_is_written_again_is_never_too_late(read_side: ReadSide, bookkeeping: Bookkeeping) -> None:
    """Nothing would be booked otherwise for it, so its retry is as good as any."""
    await bookkeeping.close(DAY)
    await bookkeeping.books()
    await refuse(read_side, "ledger_closings", all_but="false")
    await bookkeeping.close(DAY)
    await bookkeeping.log([bookkeeping.engagement()])
    await bookkeeping.books()
    await allow(read_side, "ledger_closings")
    tried = await DeadLetters(read_side.addresses).retry_all("ledger", by="an operator")
    assert tried == Tried(PARTITIONS, 0)
    assert await books_in(read_side) == books_of(await logged_by_partition(read_side))


async def test_what_does_not_balance_is_parked(read_side: ReadSide, bookkeeping: Bookkeeping) -> None:
    """An engagement whose share and fee are not what it costs is a dead letter, and all others are booked."""
    good, bad = bookkeeping.engagement(), bookkeeping.engagement(fee_micros=1)
    await bookkeeping.log([bad, good])
    assert spend(await bookkeeping.books()) == good.clearing_price_micros
    [letter] = await read_side.fetch("SELECT key, error FROM dead_letters")
    assert letter["key"] == bad.auction_id.encode()
    assert "are not the" in letter["error"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET fee_nanos = fee_nanos + 1",
        "UPDATE ledger_charges SET spend_nanos = spend_nanos + 1",
    ],
)
async def test_the_database_refuses_what_does_not_balance(
    read_side: ReadSide, bookkeeping: Bookkeeping, statement: str
) -> None:
    """Not even by hand can an entry be written whose debit is not its credit."""
    await bookkeeping.log([bookkeeping.engagement()])
    await bookkeeping.books()
    with pytest.raises(asyncpg.CheckViolationError):
        await read_side.fetch(statement)
