"""Envelopes of Debezium's connectors as changes of records.

One row is one record. The envelope stands alone or as the `payload` beside its `schema`, as the connector's converter
is set. `c` (made) and `r` (read by a snapshot) put the record, `u` moves it from the key that the row had, `d` takes
it away; a tombstone, which follows a deletion for the sake of compaction, tells nothing new.

Source: https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from domain.feeds.records import Change, Reason, change_of
from domain.limits import FEED_ENVELOPE_MAX_BYTES

_read: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_row: Final = msgspec.json.Decoder(dict[str, Any] | None).decode
_read_whole: Final = msgspec.json.Decoder(msgspec.Raw).decode
_NOTHING: Final = msgspec.Raw(b"null")
_OF_ROWS: Final = frozenset({b'"c"', b'"r"', b'"u"', b'"d"'})
_LEFT_OUT: Final = frozenset({"__debezium_unavailable_value", "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="})
"""What stands for a long value that an UPDATE has not touched, as text and as the bytes of a binary column.

Source: https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-toasted-values
"""


class Columns(msgspec.Struct, frozen=True):
    """Where a row keeps its record."""

    key: str = "key"
    """The column of the record's key: text, or a whole number."""
    value: str | None = None
    """The column of the value, JSON or text of JSON; None: all columns but the key's are the value."""


def is_envelope(line: bytes) -> bool:
    """Whether a line of changes is a connector's, a tombstone included, and none of our own with its `key` on top."""
    if _is_tombstone(line):
        return True
    try:
        fields = _read(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return "payload" in fields or ("key" not in fields and ("before" in fields or "after" in fields))


def envelope_change(message: bytes | None, columns: Columns) -> Change | Reason | None:
    """What the message changes, or why it cannot be told; None for a tombstone. No value of a row is in the reason."""
    if message is None or _is_tombstone(message):
        return None
    if len(message) > FEED_ENVELOPE_MAX_BYTES:
        return Reason.ENVELOPE_TOO_LONG
    try:
        message.decode()  # what is passed over unread has to be UTF-8 as well
        return _change(message, columns)
    except UnicodeDecodeError:
        return Reason.NOT_UTF_8
    except RecursionError:
        return Reason.VALUE_TOO_DEEP
    except msgspec.DecodeError as error:
        return Reason.NOT_OF_A_ROW if isinstance(error, msgspec.ValidationError) else Reason.NOT_JSON


def _is_tombstone(message: bytes) -> bool:
    return message.strip() in {b"", b"null"}


def _change(message: bytes, columns: Columns) -> Change | Reason | None:
    envelope = _read(message)
    if "payload" in envelope:
        if bytes(envelope["payload"]) == b"null":
            return None
        envelope = _read(envelope["payload"])
    op = bytes(envelope.get("op", _NOTHING))
    if op == b'"t"':
        return Reason.TABLE_EMPTIED
    before, after = (_read_row(envelope.get(name, _NOTHING)) for name in ("before", "after"))
    row = before if op == b'"d"' else after
    if op not in _OF_ROWS or row is None:
        return Reason.NOT_OF_A_ROW
    key = _text(row.get(columns.key))
    return Reason.ROW_WITHOUT_KEY if key is None else _row_change(op, before or {}, key, row, columns)


def _row_change(
    op: bytes, before: Mapping[str, Any], key: str, row: Mapping[str, Any], columns: Columns
) -> Change | Reason:
    """By way of the line that says the same, so that the same rules hold."""
    if op == b'"d"':
        return change_of(msgspec.json.encode({"op": "delete", "key": key}))
    if any(isinstance(held := row.get(name), str) and held in _LEFT_OUT for name in _told(row, columns)):
        return Reason.ROW_INCOMPLETE
    try:
        value = _value(row, columns)
    except msgspec.DecodeError:
        return Reason.COLUMN_NOT_JSON
    if op != b'"u"':
        return change_of(msgspec.json.encode({"op": "add", "key": key, "value": value}))
    # Without REPLICA IDENTITY FULL the row before is told only where its key has changed.
    old_key = _text(before.get(columns.key)) or key
    return change_of(msgspec.json.encode({"op": "update", "old_key": old_key, "key": key, "value": value}))


def _told(row: Mapping[str, Any], columns: Columns) -> Iterable[str]:
    """The columns that the record is made of."""
    return row if columns.value is None else (columns.key, columns.value)


def _text(key: Any) -> str | None:
    if isinstance(key, str):
        return key
    return str(key) if isinstance(key, int) and not isinstance(key, bool) else None


def _value(row: Mapping[str, Any], columns: Columns) -> Any:
    if columns.value is None:
        return {name: held for name, held in row.items() if name != columns.key}
    held = row.get(columns.value)
    # A column of type JSON comes as text (`io.debezium.data.Json`). It must be one value by itself, or it could go on
    # in the line that it is put into, and name another key there.
    return _read_whole(held) if isinstance(held, str) else held
