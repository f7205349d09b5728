"""Avro container files of the library's own writer come out as JSON; what is hostile in them costs its sender only."""

from __future__ import annotations

import contextlib
import io
import math
import tracemalloc
import zlib
from collections.abc import Iterable
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.feeds.avro import AvroReader, NotAvro
from domain.feeds.avro_schema import OtherSchema
from domain.feeds.inflation import CutOff, TooDense
from domain.feeds.ndjson import Line
from domain.feeds.records import Reason

SYNC = b"0123456789abcdef"
CODECS = ("null", "deflate", "snappy", "zstandard")
SEGMENTS = {
    "type": "record",
    "name": "Value",
    "fields": [{"name": "segments", "type": {"type": "array", "items": "string"}}],
}


def schema_of(value: Any, *more: dict[str, Any]) -> dict[str, Any]:
    key = {"name": "key", "type": {"type": "string", "avro.java.string": "String"}}
    fields = [key, {"name": "value", "type": value}, *more]
    return {"type": "record", "name": "Record", "namespace": "org.example", "fields": fields}


def file_of(schema: Any, records: Iterable[dict[str, Any]], codec: str = "null", **options: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.writer(stream, schema, records, codec=codec, **options)
    return stream.getvalue()


def read(content: bytes, size: int = 0, required: tuple[str, ...] = ("key", "value")) -> list[Line]:
    reader = AvroReader(required)
    size = size or len(content)
    lines = [line for at in range(0, len(content), size) for line in reader.split(content[at : at + size])]
    return [*lines, *reader.end()]


def number(value: int) -> bytes:
    """Zig-zag, as Avro writes lengths."""
    encoded = (value << 1) ^ (value >> 63)
    out = bytearray()
    while encoded > 0x7F:
        out.append((encoded & 0x7F) | 0x80)
        encoded >>= 7
    return bytes([*out, encoded])


def container(schema: Any, *blocks: tuple[int, bytes], codec: bytes = b"null") -> bytes:
    """A container by hand, whatever its blocks claim."""
    text = msgspec.json.encode(schema)
    entries = ((b"avro.schema", text), (b"avro.codec", codec))
    pairs = b"".join(number(len(part)) + part for entry in entries for part in entry)
    head = b"Obj\x01" + number(2) + pairs + number(0) + SYNC
    return head + b"".join(number(count) + number(len(data)) + data + SYNC for count, data in blocks)


@pytest.mark.parametrize("codec", CODECS)
@given(
    records=st.lists(
        st.tuples(st.text(min_size=1, max_size=9), st.lists(st.text(max_size=30), max_size=4)), max_size=40
    ),
    interval=st.integers(1, 2_000),
    size=st.integers(1, 5_000),
)
def test_round_trip(codec: str, records: list[tuple[str, list[str]]], interval: int, size: int) -> None:
    """Records come in order, numbered from 1, whatever the codec, the blocks and the cuts."""
    data = [{"key": key, "value": {"segments": segments}} for key, segments in records]
    lines = read(file_of(schema_of(SEGMENTS), data, codec, sync_interval=interval), size)
    assert [line.number for line in lines] == list(range(1, len(data) + 1))
    assert [msgspec.json.decode(line.content) for line in lines] == data


def test_types_of_avro() -> None:
    """Maps, unions, enums, fixed, named types used twice and logical types become what JSON has for them."""
    day = {"type": "record", "name": "Day", "fields": [{"name": "day", "type": {"type": "int", "logicalType": "date"}}]}
    level = {"type": "enum", "name": "Level", "symbols": ["LOW", "HIGH"]}
    fields = [
        {"name": "first", "type": day},
        {"name": "last", "type": ["null", "Day"]},
        {"name": "level", "type": level},
        {"name": "id", "type": {"type": "fixed", "name": "Id", "size": 2}},
        {"name": "scores", "type": {"type": "map", "values": "double"}},
    ]
    schema = schema_of({"type": "record", "name": "Value", "fields": fields})
    value = {"first": {"day": 1}, "last": {"day": 2}, "level": "HIGH", "id": b"ab", "scores": {"x": 0.5}}
    [line] = read(file_of(schema, [{"key": "k", "value": value}]))
    assert msgspec.json.decode(line.content) == {"key": "k", "value": {**value, "id": "YWI="}}


SELF = schema_of(["null", "Record"])
WIDE = {"type": "record", "name": "L0", "fields": [{"name": "x", "type": "int"}]}
for level in range(1, 20):
    WIDE = {
        "type": "record",
        "name": f"L{level}",
        "fields": [{"name": "a", "type": WIDE}, {"name": "b", "type": f"L{level - 1}"}],
    }


@pytest.mark.parametrize(
    "schema",
    [
        "string",
        {"type": "map", "values": "string"},
        {"type": "record", "name": "Record", "fields": [{"name": "key", "type": "string"}]},
        {"type": "record", "name": "Record", "fields": [{"name": "id", "type": "int"}]},
        {**schema_of("string"), "fields": [{"name": "key", "type": "long"}, {"name": "value", "type": "string"}]},
        schema_of("Missing"),
        SELF,
        schema_of(WIDE),
        schema_of({"type": "array", "items": "null"}),
        schema_of({"type": "array", "items": {"type": "record", "name": "Empty", "fields": []}}),
        schema_of({"type": "array", "items": {"type": "fixed", "name": "Fixed", "size": 0}}),
        schema_of({"type": "record", "name": "V", "fields": [{"name": "x" * 257, "type": "int"}]}),
        {**schema_of("string"), "__fastavro_parsed": True, "fields": [7]},
        [1, 2],
        None,
    ],
)
def test_other_schemas(schema: Any) -> None:
    """What does not describe records of a feed, or describes them so that data could run wild, is refused."""
    with pytest.raises(OtherSchema):
        read(container(schema, (1, b"\x02k\x00")))


def test_deep_schema() -> None:
    """A schema nested a hundred thousand times is refused by its depth."""
    schema = b'{"type":"array","items":' * 8_000 + b'"int"' + b"}" * 8_000
    with pytest.raises(OtherSchema):
        read(container(msgspec.Raw(schema)))


@pytest.mark.parametrize(
    "content",
    [
        b'{"key": "k", "value": {}}\n',
        b"Obj\x02" + bytes(100),
        b"Obj\x01" + b"\xff" * 20,
        b"Obj\x01" + number(65) + bytes(400),
        b"Obj\x01" + number(1) + number(1 << 60) + bytes(100),
        container(schema_of(SEGMENTS), codec=b"lzo"),
        container(schema_of(SEGMENTS), (1, bytes(9 * 1024 * 1024))),
        container(schema_of(SEGMENTS), (1 << 50, b"\x02k\x00")),
        container(schema_of(SEGMENTS), (-1, b"\x02k\x00")),
        container(schema_of(SEGMENTS), (1, b"")),
        container(schema_of(SEGMENTS), (8 * 1024 * 1024, b"")),
        container(schema_of(SEGMENTS), (4, b"\x02k\x00")),
        container(schema_of(SEGMENTS), (8 * 1024 * 1024, b"\xff" * 8), codec=b"deflate"),
        container(schema_of(SEGMENTS), (1, b"\x03\x00"), codec=b"deflate"),
        container(schema_of(SEGMENTS), (1, b"\x02k\x00")) + b"\x02\x06\x02k\x00" + b"another sync mar",
        container(schema_of(SEGMENTS)) + number(1) + number(1 << 60),
    ],
)
def test_not_avro(content: bytes) -> None:
    """What is no container, or stops being one, ends the reading."""
    with pytest.raises(NotAvro):
        read(content)


@given(st.data())
def test_cut_off(data: st.DataObject) -> None:
    """A file that ends within a block is told so, and the blocks before came out; between two nobody can tell."""
    records = [{"key": f"k{number}", "value": {"segments": ["a"]}} for number in range(50)]
    content = file_of(schema_of(SEGMENTS), records, sync_interval=40)
    between_blocks = {block.offset for block in fastavro.block_reader(io.BytesIO(content))}
    at = data.draw(st.integers(0, len(content) - 1))
    reader = AvroReader(("key", "value"))
    lines = list(reader.split(content[:at]))
    assert [msgspec.json.decode(line.content) for line in lines] == records[: len(lines)]
    if at in between_blocks:
        assert list(reader.end()) == []
    else:
        with pytest.raises(CutOff):
            reader.end()


@given(st.data())
def test_no_file_breaks_the_reader(data: st.DataObject) -> None:
    """With some bytes changed anywhere, the outcome is lines or one of three named errors."""
    records = [{"key": f"k{number}", "value": {"segments": ["a", "b"]}} for number in range(8)]
    codec = data.draw(st.sampled_from(CODECS))
    content = bytearray(file_of(schema_of(SEGMENTS), records, codec, sync_interval=60))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(NotAvro, OtherSchema, CutOff):
        read(bytes(content))


def test_a_bad_block_costs_its_own_records() -> None:
    """What cannot be decoded is listed record by record; the next block is read as if nothing had been."""
    good = b"\x02k" + number(1) + number(1) + b"s" + number(0)
    content = container(schema_of(SEGMENTS), (3, good + b"\x01\x01" + good), (1, good))
    lines = [(line.number, line.content) for line in read(content)]
    value = b'{"key":"k","value":{"segments":["s"]}}'
    assert lines == [(1, value), (2, Reason.UNREADABLE), (3, Reason.UNREADABLE), (4, value)]
    damaged = container(schema_of(SEGMENTS), (2, b"\xff\xff\xff"), (1, b"\xff"), codec=b"deflate")
    assert [line.content for line in read(damaged)] == [Reason.UNREADABLE] * 3


def test_records_that_json_has_no_word_for() -> None:
    """Text that is not UTF-8, and numbers that are none, spoil their own record only."""
    scores = schema_of({"type": "map", "values": "double"})
    [nan, fine] = read(file_of(scores, [{"key": "a", "value": {"x": math.nan}}, {"key": "b", "value": {"x": 1.0}}]))
    assert (nan.content, fine.content) == (Reason.NOT_FINITE, b'{"key":"b","value":{"x":1.0}}')
    good = b"\x02k" + number(0)
    lines = read(container(schema_of(SEGMENTS), (2, b"\x02\xff" + number(0) + good)))
    assert [line.content for line in lines] == [Reason.NOT_UTF_8, b'{"key":"k","value":{"segments":[]}}']


def test_a_record_that_is_too_long() -> None:
    """It is passed over, and the records behind it in the same block are read."""
    data = [{"key": str(n), "value": {"segments": ["x" * (60_000 if n == 1 else 5)]}} for n in range(3)]
    lines = read(file_of(schema_of(SEGMENTS), data))
    assert [line.content is Reason.TOO_LONG for line in lines] == [False, True, False]


def test_millions_of_empty_objects_in_one_record() -> None:
    """Two million objects of one byte each take no more memory than a few times their bytes."""
    schema = schema_of({"type": "array", "items": {"type": "map", "values": "int"}})
    count = 2_000_000
    block = b"\x02k" + number(count) + bytes(count) + number(0)
    content = container(schema, (1, block), (1, b"\x02k\x00"))
    tracemalloc.start()
    lines = read(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [line.content for line in lines] == [Reason.TOO_LONG, b'{"key":"k","value":[]}']
    assert peak < 16 * 1024 * 1024


def test_a_record_that_is_long_by_few_texts_is_passed_over() -> None:
    """However long a text in it is; with too many items it costs the rest of its block as well, and says why."""
    long = b"\x02k" + number(1) + number(2_000_000) + bytes(2_000_000) + number(0)
    many = b"\x02k" + number(200_000) + bytes(200_000) + number(0)
    good = b"\x02k" + number(0)
    lines = read(container(schema_of(SEGMENTS), (2, long + good), (2, many + good), (1, good)))
    read_well = b'{"key":"k","value":{"segments":[]}}'
    assert [line.content for line in lines] == [
        Reason.TOO_LONG,
        read_well,
        Reason.TOO_LONG,
        Reason.UNREADABLE,
        read_well,
    ]


def test_memory_does_not_grow_with_the_file() -> None:
    """Fifty times the records, the same peak."""
    peaks = []
    for times in (1, 50):
        content = file_of(schema_of(SEGMENTS), [{"key": "k", "value": {"segments": ["x" * 200]}}] * 400 * times)
        reader = AvroReader(("key", "value"))
        tracemalloc.start()
        count = sum(1 for at in range(0, len(content), 65_536) for _ in reader.split(content[at : at + 65_536]))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == 400 * times
    assert peaks[1] < 2 * peaks[0]


def test_a_bomb_of_blocks() -> None:
    """Blocks that grow a thousand times are refused once they are many megabytes."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(4_000_000)) + packer.flush()
    schema = schema_of({"type": "array", "items": "int"})
    with pytest.raises(TooDense):
        read(container(schema, *[(1, block)] * 40, codec=b"deflate"))
