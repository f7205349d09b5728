"""Every line of an upload is a record, a change, or has a reason why not."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.feeds.records import Added, Deleted, Reason, Record, Updated, change_of, record_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


def padded(length: int) -> bytes:
    """A good record whose line has so many bytes."""
    return b'{"key":"k","value":{"x":"%s"}}' % (b"x" * (length - len(b'{"key":"k","value":{"x":""}}')))


def nested(depth: int) -> bytes:
    """A record whose value nests so deep."""
    return b'{"key":"k","value":{"x":%s1%s}}' % (b"[" * (depth - 1), b"]" * (depth - 1))


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        (b'{"key":"k","value":{}}', Record("k", b"{}")),
        (b' { "value" : {"a": 1} , "more": [1], "key": "k" } ', Record("k", b'{"a": 1}')),
        ('{"key":"é","value":{"ü":"ö"}}'.encode(), Record("é", '{"ü":"ö"}'.encode())),
        (b'{"key":"a\\u00e9","value":{}}', Record("aé", b"{}")),
        (padded(10_240), Record("k", padded(10_240)[19:-1])),
        (padded(10_241), Reason.TOO_LONG),
        (b'{"value":{}}', Reason.NO_KEY),
        (b'{"key":"","value":{}}', Reason.NO_KEY),
        (b'{"key":null,"value":{}}', Reason.KEY_NOT_TEXT),
        (b'{"key":7,"value":{}}', Reason.KEY_NOT_TEXT),
        (b'{"key":"%s","value":{}}' % (b"k" * 512), Record("k" * 512, b"{}")),
        (b'{"key":"%s","value":{}}' % (b"k" * 513), Reason.KEY_TOO_LONG),
        (f'{{"key":"{"é" * 257}","value":{{}}}}'.encode(), Reason.KEY_TOO_LONG),
        (b'{"key":"%s","value":{}}' % (b"k" * 1_000_000), Reason.TOO_LONG),
        (b'{"key":"a\\u0000b","value":{}}', Reason.KEY_HAS_CONTROLS),
        (b'{"key":"a\\nb","value":{}}', Reason.KEY_HAS_CONTROLS),
        (b'{"key":"k\xff","value":{}}', Reason.NOT_UTF_8),
        (b'{"key":"k","value":{"x":"\xff"}}', Reason.NOT_UTF_8),
        (b'{"key":"k","value":{"x":"\xed\xa0\x80"}}', Reason.NOT_UTF_8),
        (b'{"key":"\\ud800","value":{}}', Reason.NOT_JSON),
        (b'{"key":"k","value":{"x":NaN}}', Reason.NOT_JSON),
        (b'{"key":"k","value":{"x":}}', Reason.NOT_JSON),
        (b'{"key":7,"value":{"x":}}', Reason.NOT_JSON),
        (b'{"key":"k","value":{}', Reason.NOT_JSON),
        (b'{"key":"k","value":{}}{', Reason.NOT_JSON),
        (b"key,value", Reason.NOT_JSON),
        (b"[]", Reason.NOT_AN_OBJECT),
        (b'"text"', Reason.NOT_AN_OBJECT),
        (b'{"key":"k"}', Reason.NO_VALUE),
        (b'{"key":"k","value":null}', Reason.VALUE_NOT_AN_OBJECT),
        (b'{"key":"k","value":[1]}', Reason.VALUE_NOT_AN_OBJECT),
        (nested(32), Record("k", nested(32)[19:-1])),
        (nested(33), Reason.VALUE_TOO_DEEP),
        (b'{"key":"k","value":' + b"[" * 9_000, Reason.VALUE_TOO_DEEP),
    ],
)
def test_a_record(line: bytes, outcome: Record | Reason) -> None:
    """A record's key and value as they were sent, or why it is none."""
    assert record_of(line) == outcome


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        (b'{"op":"add","key":"k","value":{"a":1}}', Added("k", b'{"a":1}')),
        (b'{"op":"update","key":"k","value":{}}', Updated("k", "k", b"{}")),
        (b'{"op":"update","key":"k","old_key":null,"value":{}}', Updated("k", "k", b"{}")),
        (b'{"op":"update","old_key":"o","key":"k","value":{}}', Updated("o", "k", b"{}")),
        (b'{"op":"delete","key":"k"}', Deleted("k")),
        (b'{"op":"delete","key":"k","value":null}', Deleted("k")),
        (b'{"op":"upsert","key":"k","value":{}}', Reason.UNKNOWN_OP),
        (b'{"key":"k","value":{}}', Reason.UNKNOWN_OP),
        (b'{"op":"delete"}', Reason.NO_KEY),
        (b'{"op":"delete","key":""}', Reason.NO_KEY),
        (b'{"op":"add","key":"k"}', Reason.NO_VALUE),
        (b'{"op":"update","key":"k","value":7}', Reason.VALUE_NOT_AN_OBJECT),
        (b'{"op":"update","old_key":7,"key":"k","value":{}}', Reason.KEY_NOT_TEXT),
        (b'{"op":"update","old_key":"","key":"k","value":{}}', Reason.NO_KEY),
        (b'{"op":"update","old_key":"a\\tb","key":"k","value":{}}', Reason.KEY_HAS_CONTROLS),
        (b'{"op":"add","key":"k","value":{"x":"\xff"}}', Reason.NOT_UTF_8),
        (b'{"op":"add","key":"k","value":{"x":"%s"}}' % (b"x" * 10_240), Reason.TOO_LONG),
    ],
)
def test_a_change(line: bytes, outcome: object) -> None:
    """What a change does to which keys, or why it is none."""
    assert change_of(line) == outcome


@given(key=st.text(min_size=1, max_size=40), value=st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_whatever_json_can_say_is_kept(key: str, value: dict[str, object]) -> None:
    """Any key without controls and any value that is an object come through unaltered."""
    record = record_of(msgspec.json.encode({"key": key, "value": value}))
    if any(ord(character) < 32 or ord(character) == 127 for character in key):
        assert record is Reason.KEY_HAS_CONTROLS
    else:
        assert isinstance(record, Record)
        assert record.key == key
        assert msgspec.json.decode(record.value) == value


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\keyvalueop01 ', max_size=60).map(str.encode))
def test_no_line_breaks_the_reader(line: bytes) -> None:
    """Bytes of any kind have a reason, never an exception."""
    assert isinstance(record_of(line), Record | Reason)
    assert isinstance(change_of(line), Added | Updated | Deleted | Reason)
