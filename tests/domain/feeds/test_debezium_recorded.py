"""Messages that Debezium's connectors have made of real statements; tests/debezium/README.md has these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.feeds.debezium import Columns, envelope_change, is_envelope
from domain.feeds.records import Added, Deleted, Reason, Updated

RECORDED = Path(__file__).parents[2] / "debezium"
PEOPLE = Columns(key="id")
MEMBERS = Columns(key="key", value="record")
LONG = "long " * 600
ADA = {
    "nick": "ada",
    "segments": '["skiers"]',
    "spent": "BOI=",
    "photo": "AP8Q",
    "seen": "2026-11-21T10:00:00.123456Z",
    "born": 7363,
}
BJOERN = {
    "nick": "Björn",
    "segments": '["boats", "skiers"]',
    "spent": "/s8=",
    "photo": None,
    "seen": "2026-11-21T10:00:00.000000Z",
    "born": 11687,
}


def messages(name: str) -> list[bytes]:
    return (RECORDED / f"{name}.ndjson").read_bytes().splitlines()


def told(name: str, columns: Columns) -> list[Any]:
    """What each message changes, with values decoded."""
    changes = [envelope_change(each, columns) for each in messages(name)]
    return [
        each._replace(value=msgspec.json.decode(each.value)) if isinstance(each, Added | Updated) else each
        for each in changes
    ]


@pytest.mark.parametrize("name", ["postgresql-people", "postgresql-people-with-schema"])
def test_a_table_of_postgresql(name: str) -> None:
    """Its snapshot, a row made, altered, left out in part, moved and deleted, and the table emptied."""
    assert told(name, PEOPLE) == [
        Added("1", {**ADA, "notes": "short"}),
        Added("2", {**BJOERN, "notes": LONG}),
        Updated("2", "2", {**BJOERN, "nick": "Bjørn", "notes": "short"}),
        Updated("2", "2", {**BJOERN, "nick": "Bjørn", "notes": LONG}),
        Reason.ROW_INCOMPLETE,
        Deleted("1"),
        None,
        Added("3", {**ADA, "notes": "short"}),
        Deleted("3"),
        None,
        Reason.TABLE_EMPTIED,
    ]


def test_a_key_beside_the_primary_one() -> None:
    """With REPLICA IDENTITY FULL a row's move is told by its old key, and the value stands in a column of JSON."""
    assert told("postgresql-members", MEMBERS) == [
        Added("m-1", {"segments": ["boats"]}),
        Added("m-2", {"segments": []}),
        Updated("m-1", "m-9", {"segments": ["skiers"]}),
        Deleted("m-2"),
        None,
    ]


@pytest.mark.parametrize("name", ["mysql-people", "mysql-people-with-schema"])
def test_a_table_of_mysql(name: str) -> None:
    """Whose connector tells whole rows, before and after."""
    assert told(name, PEOPLE) == [
        Added("1", ADA),
        Added("2", BJOERN),
        Updated("2", "2", {**BJOERN, "nick": "Bo"}),
        Deleted("1"),
        None,
        Added("3", ADA),
        Deleted("3"),
        None,
        Reason.TABLE_EMPTIED,
    ]


def test_the_marks_of_transactions() -> None:
    """They stand in a topic of their own; met by mistake they change nothing."""
    assert told("postgresql-transactions", PEOPLE) == [Reason.NOT_OF_A_ROW] * 2


def test_all_of_them_are_envelopes() -> None:
    """As lines of `POST …/changes` they are told from Gavel's own; marks of transactions are neither."""
    names = [each.stem for each in RECORDED.glob("*.ndjson") if "transactions" not in each.stem]
    assert len(names) == 5
    assert all(is_envelope(each) for name in names for each in messages(name))
    assert not any(map(is_envelope, messages("postgresql-transactions")))
