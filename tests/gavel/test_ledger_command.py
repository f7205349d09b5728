"""`gavel ledger` on a real log: what a person or a script sees, and the exit code."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from domain.events import ClickRecorded, Engagement
from tests.gavel.shell import Shell, shell_beside
from tests.projections.bookkeeping import Bookkeeping
from tests.projections.books import books_in, books_of, logged_by_partition
from tests.projections.conftest import ReadSide, read_side

__all__ = ["read_side"]

DAY = date(2026, 11, 20)
MONTH = ("--from", "2026-11-01", "--to", "2026-12-01")


@pytest.fixture
def shell(read_side: ReadSide, tmp_path: Path) -> Shell:
    return shell_beside(read_side, tmp_path, "ledger")


@pytest.fixture
def bookkeeping(read_side: ReadSide) -> Bookkeeping:
    return Bookkeeping(read_side, 11)


async def busy_days(read_side: ReadSide, bookkeeping: Bookkeeping) -> None:
    """A log with everything that books can meet, and the read model that follows from it."""
    await read_side.log.append_traffic(bookkeeping.traffic, 150)
    paid: list[Engagement] = [bookkeeping.engagement() for _ in range(10)]
    paid += [bookkeeping.of_campaign(ClickRecorded, charged=number > 2) for number in range(10)]
    await bookkeeping.log(paid)
    await bookkeeping.close(DAY)
    await bookkeeping.log(bookkeeping.void(each) for each in paid[::2])
    await bookkeeping.books()


async def test_true_books_are_confirmed(read_side: ReadSide, bookkeeping: Bookkeeping, shell: Shell) -> None:
    """Every sum agrees with the log, in figures that an auditor counts as well; what is not booked yet is told."""
    await busy_days(read_side, bookkeeping)
    expected = books_of(await logged_by_partition(read_side))
    code, found = await shell.json("verify")
    assert (code, found["same"], found["differences"], found["lag"]) == (0, True, [], 0)
    assert found["lines"] == len(expected)
    assert found["entries"] == sum(row["entries"] for row in expected.values())
    for currency, nanos in found["spend_nanos"].items():
        lines = [(line, row) for line, row in expected.items() if line[1] == currency]
        assert nanos == sum(row["spend"] * (1 if line[-1] == "charge" else -1) for line, row in lines)
    await bookkeeping.log([bookkeeping.engagement()])
    told = await shell("verify")
    assert told.code == 0
    assert "Not booked yet, and not compared: 1 events." in told.out
    assert f"all {len(expected)} sums agree to the nano-unit" in told.out


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE ledger SET revenue_nanos = revenue_nanos + 1, fee_nanos = fee_nanos - 1 WHERE kind = 'refund'",
        "UPDATE ledger_charges SET refunded_on = booked_on WHERE refunded_on IS NULL",
    ],
)
async def test_false_books_are_told(
    read_side: ReadSide, bookkeeping: Bookkeeping, shell: Shell, tampering: str
) -> None:
    """A nano-unit that was moved, or a refund that the log does not have, ends with exit code 1."""
    await busy_days(read_side, bookkeeping)
    await read_side.fetch(tampering)
    table = tampering.split()[1]
    code, found = await shell.json("verify")
    assert (code, found["same"]) == (1, False)
    assert {each["where"] for each in found["differences"]} == {table}


async def test_an_event_that_no_entry_can_be_made_of(bookkeeping: Bookkeeping, shell: Shell) -> None:
    """Where it stands and what is wrong with it; the books cannot be confirmed."""
    await bookkeeping.log([bookkeeping.engagement(fee_micros=1)])
    await bookkeeping.books()
    told = await shell("verify")
    assert told.code == 1
    assert "not understood: " in told.out
    assert "are not the" in told.out


async def test_a_refund_and_a_closed_day(read_side: ReadSide, bookkeeping: Bookkeeping, shell: Shell) -> None:
    """Void twice, close, and read the statement."""
    paid = bookkeeping.engagement(currency="USD", bidder_id="b-1")
    await bookkeeping.log([paid])
    words = ("void", paid.auction_id, "--imp", paid.imp_id, "--kind", "impression", "--reason", "A fake page.")
    first, again = await shell.json(*words), await shell.json(*words[:-1], "Another reason.")
    assert first == again
    assert (first[0], first[1]["engagement_id"], first[1]["reason"]) == (0, paid.id, "A fake page.")
    assert (await shell("close", "2026-11-19")).out == "The books are closed through 2026-11-19, in all 3 partitions.\n"
    await bookkeeping.books()
    books = await books_in(read_side)
    assert {line[-1]: row["entries"] for line, row in books.items()} == {"charge": 1, "refund": 1}
    today = datetime.now(UTC).date()
    told = await shell("statement", "bidder:b-1", "--from", "2026-11-01", "--to", str(today + timedelta(days=1)))
    assert told.code == 0, told.err
    assert "1 charges, 1 refunds" in told.out
    assert "closing 0.00" in told.out
    assert "…" not in told.out, "no figure is cut"
    assert "Closed through: 2026-11-19." in told.out


async def test_a_statement_for_machines(bookkeeping: Bookkeeping, shell: Shell) -> None:
    """As CSV and as JSON, for one account and for all."""
    paid = bookkeeping.of_campaign(
        ClickRecorded, currency="EUR", clearing_price_micros=7, revenue_micros=5, fee_micros=2
    )
    await bookkeeping.log([paid])
    await bookkeeping.books()
    told = await shell("statement", "advertiser:adv-1", *MONTH, "--by", " campaign ,", "--csv")
    [row] = csv.DictReader(told.out.splitlines())
    assert row == {
        "campaign": "c-1",
        "account": "advertiser:adv-1",
        "currency": "EUR",
        "charges": "1",
        "refunds": "0",
        "debit": "0.000000007",
        "credit": "0.00",
        "balance": "0.000000007",
    }
    code, report = await shell.json("statement", *MONTH)
    assert code == 0
    assert {each["account"].partition(":")[0]: each["balance"] for each in report["rows"]} == {
        "advertiser": "0.000000007",
        "publisher": "-0.000000005",
        "exchange": "-0.000000002",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("close", "2999-01-01"), "is not over"),
        (("statement", "bank:1"), "'bank:1' is not"),
        (("void", "nonsense", "--imp", "1", "--kind", "click", "--reason", "x"), "not the id of an auction"),
    ],
)
async def test_wrong_use(shell: Shell, words: tuple[str, ...], said: str) -> None:
    """It is told in one line, without a traceback, and nothing changes."""
    told = await shell(*words)
    assert told.code == 1
    assert said in told.err
    assert "Traceback" not in told.err
