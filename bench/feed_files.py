"""Files of feed records and of changes to them, made line by line: of any length, the same for the same seed.

Values are random text, which nothing packs and nothing shares. Some lines are no records, and some keys come twice. Of
the changes some add, some move a record to another key, some delete, and some are of keys that nobody has.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import msgspec

SEED: Final = 21
TEXT_BYTES: Final = 150
"""Random, of each value: in base64 and with all around it a line has about 300 bytes."""
SEGMENTS: Final = 5_000
BAD_LINE_EVERY: Final = 10_000
SAME_KEY_EVERY: Final = 1_000
BAD_CHANGE_EVERY: Final = 500
BAD_CHANGES: Final = (
    b'{"op":"rename","key":"text","value":{}}',
    b'{"op":"add","key":"text"}',
    b'{"op":"delete","key":7}',
)
BUFFER_BYTES: Final = 1 << 20
BAD_LINES: Final = (
    b"this is no JSON",
    b'{"value":{"segments":[]}}',
    b'{"key":"","value":{}}',
    b'{"key":"text","value":"no object"}',
    b'{"key":"not UTF-8 \xff","value":{}}',
    b'{"key":"long","value":{"text":"' + b"x" * 10_240 + b'"}}',
)


def record_key(client: int, number: int) -> str:
    """A pseudonym of a user: the same number of the same client has always the same."""
    return f"u{client}-{(number * 0x9E3779B97F4A7C15 + client) % 2**64:016x}"


def write_bulk(file: Path, *, client: int, records: int) -> None:
    """As many lines; a few of them are refused."""
    _write(file, _bulk(client, records))


def write_changes(file: Path, *, client: int, changes: int, records: int) -> None:
    """To a client that has loaded so many records, and to some keys that it never had."""
    _write(file, _changes(client, changes, records))


def _bulk(client: int, records: int) -> Iterator[bytes]:
    random = Random(SEED * 1_000 + client)
    for number in range(records):
        if number % BAD_LINE_EVERY == BAD_LINE_EVERY - 1:
            yield BAD_LINES[number // BAD_LINE_EVERY % len(BAD_LINES)]
            continue
        same_again = number % SAME_KEY_EVERY == SAME_KEY_EVERY - 1
        key = record_key(client, random.randrange(number) if same_again else number)
        yield b'{"key":"%b","value":%b}' % (key.encode(), _value(random))


def _changes(client: int, changes: int, records: int) -> Iterator[bytes]:
    random = Random(SEED * 2_000 + client)
    fresh = records
    for number in range(changes):
        if number % BAD_CHANGE_EVERY == BAD_CHANGE_EVERY - 1:
            yield BAD_CHANGES[number // BAD_CHANGE_EVERY % len(BAD_CHANGES)]
            continue
        known, dice = record_key(client, random.randrange(records)), random.random()
        absent = record_key(client, 10 * records + random.randrange(records))
        fresh += 1
        if dice < 0.35:
            change = {"op": "add", "key": known}
        elif dice < 0.45:
            change = {"op": "add", "key": record_key(client, fresh)}
        elif dice < 0.60:
            change = {"op": "update", "key": known}
        elif dice < 0.75:
            change = {"op": "update", "old_key": known, "key": record_key(client, fresh)}
        elif dice < 0.80:
            change = {"op": "update", "old_key": absent, "key": record_key(client, random.randrange(records))}
        elif dice < 0.95:
            change = {"op": "delete", "key": known}
        else:
            change = {"op": "delete", "key": absent}
        value = {} if change["op"] == "delete" else {"value": msgspec.Raw(_value(random))}
        yield msgspec.json.encode(change | value)


def _value(random: Random) -> bytes:
    first, second = random.randrange(SEGMENTS), random.randrange(SEGMENTS)
    text = b64encode(random.randbytes(TEXT_BYTES))
    return b'{"segments":["s%d","s%d"],"weight":%d,"text":"%b"}' % (first, second, first * second, text)


def _write(file: Path, lines: Iterator[bytes]) -> None:
    with file.open("wb", buffering=BUFFER_BYTES) as opened:
        for line in lines:
            opened.write(line + b"\n")
