"""Two uploads have the same digest where they have the same records in the same lines, and nowhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from domain.feeds.upload_digest import UnkeyedDigest, UploadDigest, is_unkeyed

KEY = bytes(range(32))


def digest_of(records: Sequence[tuple[int, bytes]], key: bytes = KEY) -> str:
    digest = UploadDigest(key)
    for line, content in records:
        digest.add(line, content)
    return digest.text


RECORDS = [(1, b"one"), (2, b"two"), (4, b"four")]


def test_what_is_the_same() -> None:
    """A letter and sixteen hexadecimal digits, the same in every process; none for no records."""
    assert (digest_of(RECORDS), digest_of([])) == (digest_of([*RECORDS]), "")
    assert len(bytes.fromhex(digest_of(RECORDS).removeprefix("k"))) == 8


@pytest.mark.parametrize(
    "other",
    [
        RECORDS[:2],
        [*RECORDS, (5, b"")],
        [(1, b"one"), (2, b"tw"), (4, b"ofour")],
        [(1, b"one"), (3, b"two"), (4, b"four")],
        [(1, b"two"), (2, b"one"), (4, b"four")],
        [(1, b"onetwo"), (4, b"four")],
    ],
)
def test_what_is_not(other: list[tuple[int, bytes]]) -> None:
    """One more or fewer, another content, another line, another order."""
    assert digest_of(other) != digest_of(RECORDS)


def test_nobody_has_it_without_the_key() -> None:
    """It is HMAC-SHA-256 (RFC 2104) of the line's number and its content, of which eight bytes are shown."""
    assert digest_of(RECORDS, bytes(32)) != digest_of(RECORDS)
    inner, outer = (bytes(each ^ pad for each in KEY.ljust(64, b"\0")) for pad in (0x36, 0x5C))
    first = hashlib.sha256(outer + hashlib.sha256(inner + bytes([0] * 7 + [1]) + b"one").digest()).digest()
    assert digest_of(RECORDS[:1]) == "k" + first[:8].hex()


def test_what_older_processes_wrote() -> None:
    """Is told from what is written today, and can be computed still."""
    older = UnkeyedDigest()
    assert (older.text, is_unkeyed(older.text)) == ("", False)
    older.add(1, b"one")
    assert older.text == hashlib.sha256(bytes([0] * 7 + [1]) + b"one").hexdigest()[:16]
    assert (is_unkeyed(older.text), is_unkeyed(digest_of(RECORDS))) == (True, False)
