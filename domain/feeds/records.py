"""One line of an upload, checked: a record of a bulk, a change of one record, or the reason why it is neither."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from domain.limits import (
    FEED_ENVELOPE_MAX_BYTES,
    FEED_KEY_MAX_BYTES,
    FEED_RECORD_MAX_BYTES,
    FEED_VALUE_DEPTH_MAX,
)
from domain.openrtb.nesting import nests_deeper_than


class Reason(StrEnum):
    """Why a line is refused, as its sender is told."""

    TOO_LONG = f"the record is longer than {FEED_RECORD_MAX_BYTES} bytes"
    ENVELOPE_TOO_LONG = f"the line is longer than the {FEED_ENVELOPE_MAX_BYTES} bytes of the longest envelope"
    NOT_UTF_8 = "the line is not UTF-8"
    NOT_JSON = "the line is not JSON"
    NOT_AN_OBJECT = "the line is not a JSON object"
    NO_KEY = "the record has no key"
    KEY_NOT_TEXT = "the key is not a text"
    KEY_TOO_LONG = f"the key is longer than {FEED_KEY_MAX_BYTES} bytes"
    KEY_HAS_CONTROLS = "the key holds a control character"
    NO_VALUE = "the record has no value"
    VALUE_NOT_AN_OBJECT = "the value is not a JSON object"
    COLUMN_NOT_JSON = "the value's column does not hold JSON"
    NOT_FINITE = "the record holds a number that is infinite or none"
    VALUE_TOO_DEEP = f"the value nests deeper than {FEED_VALUE_DEPTH_MAX}"
    UNKNOWN_OP = "op is none of add, update, delete"
    UNREADABLE = "the record cannot be decoded by the file's schema"
    ROW_WITHOUT_KEY = "the row has no usable value in the key's column"
    ROW_INCOMPLETE = "the row lacks a column that was not changed: its table needs REPLICA IDENTITY FULL"
    TABLE_EMPTIED = "the table was emptied by TRUNCATE, and its records stay: replace them by a load"
    NOT_OF_A_ROW = "the envelope tells of something else than one row"


class Record(NamedTuple):
    """A record of a bulk."""

    key: str
    value: bytes
    """A JSON object, as it was sent."""


class Added(NamedTuple):
    """The record stands, whether there was one or not."""

    key: str
    value: bytes


class Updated(NamedTuple):
    """The record under `old_key` goes and the one under `key` stands, both at once; they may be the same key."""

    old_key: str
    key: str
    value: bytes


class Deleted(NamedTuple):
    """No record stands under the key."""

    key: str


Change: TypeAlias = Added | Updated | Deleted


class _Line(msgspec.Struct):
    key: str
    value: msgspec.Raw


class _ChangeLine(msgspec.Struct):
    op: Literal["add", "update", "delete"]
    key: str
    old_key: str | None = None
    value: msgspec.Raw = msgspec.Raw()


_read_line: Final = msgspec.json.Decoder(_Line).decode
_read_change: Final = msgspec.json.Decoder(_ChangeLine).decode
_read_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_text: Final = msgspec.json.Decoder(str).decode
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_KEY_SHORT_CHARS: Final = FEED_KEY_MAX_BYTES // 4
"""So few characters are never too many bytes."""


def record_of(line: bytes) -> Record | Reason:
    """The record that a line `{"key": "…", "value": {…}}` is; what else it holds is passed over."""
    if len(line) > FEED_RECORD_MAX_BYTES:
        return Reason.TOO_LONG
    try:
        if not line.isascii():
            line.decode()  # the value is kept unread, so nobody else would look at its bytes
        read = _read_line(line)
    except UnicodeDecodeError:
        return Reason.NOT_UTF_8
    except (msgspec.DecodeError, RecursionError) as error:
        return _what_is_wrong(line, error, otherwise=Reason.NO_VALUE)
    value = bytes(read.value)
    return key_fault(read.key) or _value_fault(value) or Record(read.key, value)


def change_of(line: bytes) -> Change | Reason:
    """The change that a line `{"op": "add"|"update"|"delete", "key", "old_key"?, "value"?}` is.

    An update without `old_key` keeps the key; a deletion's value is passed over.
    """
    if len(line) > FEED_RECORD_MAX_BYTES:
        return Reason.TOO_LONG
    try:
        if not line.isascii():
            line.decode()
        read = _read_change(line)
    except UnicodeDecodeError:
        return Reason.NOT_UTF_8
    except (msgspec.DecodeError, RecursionError) as error:
        return _what_is_wrong(line, error, otherwise=Reason.UNKNOWN_OP)
    return _change(read)


def _change(read: _ChangeLine) -> Change | Reason:
    old_key = read.key if read.old_key is None else read.old_key
    value = bytes(read.value)
    fault = key_fault(read.key) or (key_fault(old_key) if read.op == "update" else None)
    if fault is None and read.op != "delete":
        fault = _value_fault(value) if value else Reason.NO_VALUE
    if fault is not None:
        return fault
    if read.op == "delete":
        return Deleted(read.key)
    return Added(read.key, value) if read.op == "add" else Updated(old_key, read.key, value)


def key_fault(key: str) -> Reason | None:
    """What is wrong with a record's key, if anything."""
    if not key:
        return Reason.NO_KEY
    if len(key) > _KEY_SHORT_CHARS and len(key.encode()) > FEED_KEY_MAX_BYTES:
        return Reason.KEY_TOO_LONG
    if _CONTROLS.search(key):
        return Reason.KEY_HAS_CONTROLS
    return None


def _value_fault(value: bytes) -> Reason | None:
    if not value.startswith(b"{"):
        return Reason.VALUE_NOT_AN_OBJECT
    return Reason.VALUE_TOO_DEEP if nests_deeper_than(FEED_VALUE_DEPTH_MAX, value) else None


def _what_is_wrong(line: bytes, error: Exception, *, otherwise: Reason) -> Reason:
    """The reason of a line that the quick way could not read."""
    if isinstance(error, RecursionError):
        return Reason.VALUE_TOO_DEEP
    if not isinstance(error, msgspec.ValidationError):
        return Reason.NOT_JSON
    try:
        fields = _read_fields(line)
    except msgspec.ValidationError:
        return Reason.NOT_AN_OBJECT
    except (msgspec.DecodeError, RecursionError):
        return Reason.NOT_JSON
    for name in ("key", "old_key"):
        if name in fields and not (name == "old_key" and bytes(fields[name]) == b"null"):
            try:
                _read_text(fields[name])
            except msgspec.ValidationError:
                return Reason.KEY_NOT_TEXT
    return otherwise if "key" in fields else Reason.NO_KEY
