"""Every form an upload comes in is the same lines, in memory that does not grow with it."""

from __future__ import annotations

import gzip
import io
import tracemalloc

import fastavro
import msgspec
import pytest
from backports import zstd

from domain.feeds.records import Reason, record_of
from domain.feeds.upload import BrokenUpload, Form, UploadReader
from tests.domain.feeds.test_avro import SYNC, container, number, schema_of

SCHEMA = {
    "type": "record",
    "name": "Record",
    "fields": [{"name": "key", "type": "string"}, {"name": "value", "type": {"type": "map", "values": "string"}}],
}
MAPS = schema_of({"type": "array", "items": {"type": "map", "values": "int"}})
PACK = {"identity": bytes, "gzip": gzip.compress, "zstd": zstd.compress}
FORMS = [Form(encoding, written_in) for encoding in PACK for written_in in ("ndjson", "avro")]
CHUNK = 4_096


def upload(form: Form, count: int) -> bytes:
    records = [{"key": f"user-{number}", "value": {"of": f"{number:0240d}"}} for number in range(count)]
    if form.written_in == "ndjson":
        return PACK[form.encoding](b"\n".join(map(msgspec.json.encode, records)))
    stream = io.BytesIO()
    fastavro.writer(stream, SCHEMA, records)
    return PACK[form.encoding](stream.getvalue())


def keys_of(form: Form, content: bytes) -> list[str]:
    reader = UploadReader(form, required=("key", "value"), line_max_bytes=10_240)
    chunks = (content[at : at + CHUNK] for at in range(0, len(content), CHUNK))
    lines = [line for chunk in chunks for portion in reader.portions(chunk) for line in portion]
    return [record_of(line.content).key for line in (*lines, *reader.end())]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_form(form: Form) -> None:
    """NDJSON and Avro, as they are, gzip or zstd: the same records in the same order."""
    assert keys_of(form, upload(form, 1_000)) == [f"user-{number}" for number in range(1_000)]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_memory(form: Form) -> None:
    """An upload of four times as many records takes no more memory."""
    peaks = []
    for count in (5_000, 20_000):
        content = upload(form, count)
        reader = UploadReader(form, required=("key", "value"), line_max_bytes=10_240)
        tracemalloc.start()
        chunks = (content[at : at + CHUNK] for at in range(0, len(content), CHUNK))
        seen = sum(len(portion) for chunk in chunks for portion in reader.portions(chunk))
        seen += sum(1 for _ in reader.end())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert seen == count
    assert peaks[1] < 1.5 * peaks[0]


def test_a_line_that_is_too_long_for_anything() -> None:
    """It is told by the bound that it has broken, which for a connector's envelope is another than for a record."""
    for too_long in (Reason.TOO_LONG, Reason.ENVELOPE_TOO_LONG):
        reader = UploadReader(Form(), required=(), line_max_bytes=20_000, too_long=too_long)
        lines = [line for portion in reader.portions(b"x" * 20_001 + b"\n{}\n") for line in portion]
        assert [line.content for line in lines] == [too_long, b"{}"]


@pytest.mark.parametrize(
    ("form", "content"),
    [
        (Form("gzip"), gzip.compress(b"abc", mtime=0)[:-1]),
        (Form("zstd"), zstd.compress(b"abc")[:-1]),
        (Form("gzip"), b"plain text"),
        (Form("identity", "avro"), b'{"key": "k"}'),
        (Form("identity", "avro"), b"Obj\x01"),
        (Form("gzip", "avro"), gzip.compress(b"Obj\x01", mtime=0)),
    ],
)
def test_broken(form: Form, content: bytes) -> None:
    """What is cut off within a frame or a block, and what is something else."""
    with pytest.raises(BrokenUpload):
        keys_of(form, content)


def test_portions_are_small() -> None:
    """Whatever a chunk holds or unpacks to, others have a turn after a few lines, or a few kilobytes without one."""
    plain, packed, avro = Form(), Form("gzip"), Form("identity", "avro")
    schema = container(SCHEMA)
    many = b"\x02k" + number(12_000) + bytes(12_000) + number(0)
    for form, content, lines_max, turns_min in (
        (plain, b"\n" * 1_000_000, 0, 60),
        (packed, gzip.compress(b"\n" * 1_000_000), 0, 60),
        (packed, gzip.compress(b"") * 1_000, 0, 1_000),
        (plain, b"{}\n" * 10_000, 64, 150),
        (plain, (b"x" * 10_000 + b"\n") * 100, 4, 25),
        (plain, (b"x" * 11_000 + b"\n") * 100, 4, 25),
        (avro, schema + (number(0) + number(0) + SYNC) * 10_000, 0, 10),
        (avro, container(MAPS, (50, many * 50)), 1, 50),
        (avro, container(SCHEMA, (1_000, b"\x01" * 1_000)), 4, 250),
    ):
        portions = list(UploadReader(form, required=("key", "value"), line_max_bytes=10_240).portions(content))
        assert max(map(len, portions)) <= lines_max
        assert len(portions) >= turns_min
