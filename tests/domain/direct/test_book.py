"""What a process knows of budgets between two looks at them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from domain.catalogue import FrequencyCap
from domain.direct.book import REFUSED_SECONDS, Book
from domain.direct.budget import NOTHING_SPENT, BudgetState
from tests.domain.direct.campaigns import campaign

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = "2026-11-21"


def test_a_process_knows_what_it_has_reserved_itself() -> None:
    """Until it hears of the campaign again: then that is told with what all others have reserved."""
    states: dict[str, BudgetState] = {}
    book = Book(lambda: states)
    book.reserved("c", 100, NOON)
    book.reserved("c", 50, NOON)
    assert book.state_of("c") == NOTHING_SPENT._replace(reserved_nanos=150, day=TODAY, day_reserved_nanos=150)
    book.reserved("c", -50, NOON)
    assert book.state_of("c").committed_nanos == 100
    assert book.state_of("another") == NOTHING_SPENT
    states["c"] = BudgetState(0, 700, TODAY, 0, 700, 0, 0)
    assert book.state_of("c") == states["c"]
    book.reserved("c", 1, NOON)
    assert (book.state_of("c").committed_nanos, book.state_of("c").committed_nanos_on(TODAY)) == (701, 701)


def test_a_day_begins_with_nothing_spent() -> None:
    """Of the day's budget; of the whole one everything stays spent."""
    states = {"c": BudgetState(900, 0, "2026-11-20", 300, 20, 0, 0)}
    book = Book(lambda: states)
    assert book.state_of("c").committed_nanos_on(TODAY) == 0
    book.reserved("c", 5, NOON)
    state = book.state_of("c")
    assert (state.committed_nanos_on(TODAY), state.committed_nanos) == (5, 905)


def test_a_refusal_is_remembered_for_a_while() -> None:
    """Of a capped campaign for the person alone, of another one for everybody."""
    book = Book(dict)
    capped, free = campaign("capped", frequency_cap=FrequencyCap(1, 60)), campaign("free")
    book.refused(capped, "anna", "Too often.", NOON)
    book.refused(free, "anna", "No budget.", NOON)
    assert (book.refusal_of(capped, "anna", NOON), book.refusal_of(capped, "bert", NOON)) == ("Too often.", None)
    assert book.refusal_of(free, "bert", NOON) == "No budget."
    later = NOON + timedelta(seconds=REFUSED_SECONDS)
    assert (book.refusal_of(capped, "anna", later), book.refusal_of(free, "anna", later)) == (None, None)
