"""Two uploads have the same digest where they have the same records in the same lines, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from domain.feeds.upload_digest import UploadDigest


def digest_of(records: Sequence[tuple[int, bytes]]) -> str:
    digest = UploadDigest()
    for line, content in records:
        digest.add(line, content)
    return digest.text


RECORDS = [(1, b"one"), (2, b"two"), (4, b"four")]


def test_what_is_the_same() -> None:
    """Sixteen hexadecimal digits, the same in every process; none for no records."""
    assert (digest_of(RECORDS), digest_of([])) == (digest_of([*RECORDS]), "")
    assert len(bytes.fromhex(digest_of(RECORDS))) == 8


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
