"""A sealed record as it stands in Redis: stamp, expiry, the topic that it came by, its data key, its bytes."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, cast

from domain.feed_events import FeedRecord, FeedRecordLoaded
from domain.feeds.sealing import BULK, CHANGES, FeedTopic, Unreadable

_STAMP = struct.Struct(">Q")
_EXPIRY = struct.Struct(">Q")
_HEAD = struct.Struct(">QcB")
"""Unix milliseconds from which on nobody finds it, 0 for never; the letter of its topic; how long its key id is."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StoredRecord(NamedTuple):
    """What a reader finds under a key."""

    stamp: int
    """Its place in the order of the changes."""
    expires_ms: int
    """Unix milliseconds, excluded; 0 where it stays."""
    letter: FeedTopic
    """Of the topic that it came by, which it is sealed for."""
    key_id: str
    ciphertext: bytes

    def has_expired(self, now: datetime) -> bool:
        return 0 < self.expires_ms <= milliseconds(now)


def packed(record: FeedRecord) -> bytes:
    """All but the stamp, which the script puts in front."""
    letter = BULK if isinstance(record, FeedRecordLoaded) else CHANGES
    expires_ms = 0 if record.expires_at is None else max(1, milliseconds(record.expires_at))
    return _EXPIRY.pack(expires_ms) + _sealed_by(letter, record.key_id) + record.ciphertext


@lru_cache
def _sealed_by(letter: FeedTopic, key_id: str) -> bytes:
    """What most records have in common with those around them."""
    named = key_id.encode()
    return letter.encode() + bytes((len(named),)) + named


def unpacked(value: bytes) -> StoredRecord:
    """The record of a value with its stamp. Raises Unreadable for one that is cut short, or otherwise damaged."""
    try:
        (stamp,) = _STAMP.unpack_from(value)
        expires_ms, letter, length = _HEAD.unpack_from(value, _STAMP.size)
        start = _STAMP.size + _HEAD.size
        topic, key_id = letter.decode(), value[start : start + length].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise Unreadable(f"{len(value)} bytes are no record") from error
    return StoredRecord(stamp, expires_ms, cast("FeedTopic", topic), key_id, value[start + length :])


def milliseconds(at: datetime) -> int:
    """Since the Unix epoch, rounded down."""
    elapsed = at - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1000 + elapsed.microseconds // 1000
