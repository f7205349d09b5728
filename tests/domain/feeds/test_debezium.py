"""Envelopes as Debezium's PostgreSQL connector writes them, turned into changes."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.feeds.debezium import Columns, envelope_change, is_envelope
from domain.feeds.records import Added, Deleted, Reason, Updated

SOURCE = {
    "version": "3.3.1.Final",
    "connector": "postgresql",
    "name": "crm",
    "ts_ms": 1763749000123,
    "snapshot": "false",
    "db": "crm",
    "sequence": '["34498696","34498752"]',
    "schema": "public",
    "table": "audiences",
    "txId": 765,
    "lsn": 34498752,
    "xmin": None,
}
BY_ID = Columns(key="id", value="record")


def envelope(op: str, before: Any, after: Any) -> bytes:
    return msgspec.json.encode({"before": before, "after": after, "source": SOURCE, "op": op, "ts_ms": 1763749000456})


def row(key: Any, record: Any = '{"segments": ["sport"]}') -> dict[str, Any]:
    return {"id": key, "record": record}


VALUE = b'{"segments": ["sport"]}'
NOT_TOLD = "__debezium_unavailable_value"


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (envelope("c", None, row("u-1")), Added("u-1", VALUE)),
        (envelope("r", None, row(17)), Added("17", VALUE)),
        (envelope("u", None, row("u-1")), Updated("u-1", "u-1", VALUE)),
        (envelope("u", row("u-0"), row("u-1")), Updated("u-0", "u-1", VALUE)),
        (envelope("d", row("u-1", None), None), Deleted("u-1")),
        (b'{"schema": {"type": "struct"}, "payload": %s}' % envelope("d", row(17), None), Deleted("17")),
        (envelope("c", None, row("u-1", {"segments": []})), Added("u-1", b'{"segments":[]}')),
        (None, None),
        (b"null", None),
        (b" null\r", None),
        (b'{"schema": null, "payload": null}', None),
        (envelope("c", None, row("u-1", "[1]")), Reason.VALUE_NOT_AN_OBJECT),
        (envelope("c", None, row("u-1", "{")), Reason.COLUMN_NOT_JSON),
        (envelope("c", None, row("u-1", "hello")), Reason.COLUMN_NOT_JSON),
        (envelope("c", None, row("u-1", '{"x": "' + "x" * 10_240 + '"}')), Reason.TOO_LONG),
        (envelope("c", None, row("u-1", '{}, "key": "u-2"')), Reason.COLUMN_NOT_JSON),
        (envelope("c", None, row("u-1", '{}} {"key": "u-2"')), Reason.COLUMN_NOT_JSON),
        (envelope("u", None, row("u-1", NOT_TOLD)), Reason.ROW_INCOMPLETE),
        (envelope("u", None, row("u-1") | {"unused": NOT_TOLD}), Updated("u-1", "u-1", VALUE)),
        (envelope("c", None, row("")), Reason.NO_KEY),
        (envelope("c", None, row(None)), Reason.ROW_WITHOUT_KEY),
        (envelope("c", None, row(True)), Reason.ROW_WITHOUT_KEY),
        (envelope("c", None, {"other": 1}), Reason.ROW_WITHOUT_KEY),
        (envelope("c", None, None), Reason.NOT_OF_A_ROW),
        (envelope("d", None, None), Reason.NOT_OF_A_ROW),
        (envelope("t", None, None), Reason.TABLE_EMPTIED),
        (envelope("m", None, None), Reason.NOT_OF_A_ROW),
        (envelope("c", None, [1]), Reason.NOT_OF_A_ROW),
        (b'{"op": "c", "after": {"id": "\xff"}}', Reason.NOT_UTF_8),
        (b'{"op": "c", "after": {', Reason.NOT_JSON),
        (b'{"op": "c", "after": %s' % (b'{"a":' * 40_000), Reason.VALUE_TOO_DEEP),
        (b'{"op": "c", "after": "%s"}' % (b"x" * 262_144), Reason.ENVELOPE_TOO_LONG),
    ],
)
def test_what_an_envelope_changes(message: bytes | None, change: object) -> None:
    """A row made, read, altered, re-keyed or gone; a tombstone; and what is none of these."""
    assert envelope_change(message, BY_ID) == change


def test_the_whole_row_is_the_value() -> None:
    """Where no column is named for it, the value is the row without its key."""
    change = envelope_change(envelope("c", None, {"key": "k", "a": 1, "b": None}), Columns())
    assert change == Added("k", b'{"a":1,"b":null}')


@pytest.mark.parametrize("held", [NOT_TOLD, base64.b64encode(NOT_TOLD.encode()).decode()])
def test_a_row_that_is_not_told_as_a_whole_changes_nothing(held: str) -> None:
    """PostgreSQL leaves long values out that an UPDATE has not touched; they must not be taken for the new ones."""
    message = envelope("u", None, {"key": "k", "a": 1, "b": held})
    assert envelope_change(message, Columns()) == Reason.ROW_INCOMPLETE


def test_an_envelope_is_told_from_a_change() -> None:
    """A line of our own has its key on top; a connector's has not."""
    assert is_envelope(envelope("c", None, row("u-1")))
    assert is_envelope(b'{"payload": {"op": "c"}}')
    assert is_envelope(b"null")
    assert not is_envelope(b'{"op": "add", "key": "k", "value": {}, "after": 1}')
    assert not is_envelope(b'{"op": "add"')


@given(st.binary(max_size=100) | st.text(alphabet='{}[]":,opcafterbdulk01n', max_size=60).map(str.encode))
def test_no_message_breaks_the_reader(message: bytes) -> None:
    """Bytes of any kind have an outcome."""
    assert isinstance(is_envelope(message), bool)
    assert isinstance(envelope_change(message, BY_ID), Added | Updated | Deleted | Reason | None)
