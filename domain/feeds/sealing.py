"""Sealed values: what a feed client's records look like to everybody without the client's data key.

AES-256-GCM with 96-bit nonces (NIST SP 800-38D). A sealed value is bound to its client, its topic and its record's key:
moved or copied to another place it does not open, and neither does one of which a bit was changed. How many bytes the
value has can be seen; who is in it cannot, though the record's key can, which is a pseudonym.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.errors import GavelError

FeedTopic = Literal["b", "c"]
BULK: Final = "b"
CHANGES: Final = "c"
"""How a sealed value, and the record in Redis, names the topic that brought it."""

DATA_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
SEALED_MORE_BYTES: Final = NONCE_BYTES + TAG_BYTES
"""By how much a sealed value is longer than what it seals."""
_LENGTH_BYTES: Final = 4
_RECORD: Final = b"gavel feed record 1"
_DATA_KEY: Final = b"gavel feed data key 1"
_DIGEST: Final = b"gavel feed upload digest 1"


class Unreadable(GavelError):
    """It does not open: another key, another place, or not what was sealed. Which of them, nobody can tell."""


class DataKey(msgspec.Struct, frozen=True, dict=True):
    """One of the keys that a client's values are sealed with."""

    id: str
    """Short, and never used again, so that the log may name it."""
    secret: bytes
    """DATA_KEY_BYTES long."""

    def __repr__(self) -> str:
        return f"DataKey({self.id!r})"

    def unseal(self, sealed: bytes, *, client: str, topic: FeedTopic, key: str) -> bytes:
        """What `seal` was given under this key for the same place. Raises Unreadable."""
        return _unseal(sealed, self._cipher, _bound(_RECORD, client, topic, key))

    @cached_property
    def _cipher(self) -> AESGCM:
        """Made once, because that takes as long as to unseal a value; gone with the key."""
        return AESGCM(self.secret)


def seal(value: bytes, *, data_key: bytes, nonce: bytes, client: str, topic: FeedTopic, key: str) -> bytes:
    """The nonce, then the value encrypted, then the tag.

    No nonce may serve twice under one data key: of random ones 2**32 are safe (SP 800-38D, 8.3).
    """
    return _seal(value, data_key, nonce, _bound(_RECORD, client, topic, key))


def wrap(data_key: DataKey, *, wrapping_key: bytes, nonce: bytes, client: str) -> bytes:
    """The data key sealed for its client under the installation's key, so that it can be kept."""
    return _seal(data_key.secret, wrapping_key, nonce, _bound(_DATA_KEY, client, data_key.id))


def unwrap(key_id: str, wrapped: bytes, *, wrapping_key: bytes, client: str) -> DataKey:
    """The data key again. Raises Unreadable: another installation's key, another client's, or damaged."""
    return DataKey(key_id, _unseal(wrapped, AESGCM(wrapping_key), _bound(_DATA_KEY, client, key_id)))


def digest_key(data_key: DataKey, *, client: str, topic: FeedTopic, upload: str) -> bytes:
    """What keys the digest of one upload, and serves for nothing else (RFC 5869).

    Of two uploads nobody can tell by their digests whether they begin alike.
    """
    info = _bound(_DIGEST, client, topic, upload)
    return HKDF(SHA256(), DATA_KEY_BYTES, salt=None, info=info).derive(data_key.secret)


def _seal(value: bytes, key: bytes, nonce: bytes, bound: bytes) -> bytes:
    assert len(key) == DATA_KEY_BYTES, "AES-256, nothing shorter"
    assert len(nonce) == NONCE_BYTES, "another length would be hashed, and could meet one that was"
    return nonce + AESGCM(key).encrypt(nonce, value, bound)


def _unseal(sealed: bytes, cipher: AESGCM, bound: bytes) -> bytes:
    if len(sealed) < SEALED_MORE_BYTES:
        raise Unreadable(f"{len(sealed)} bytes are too few to hold a nonce and a tag")
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except InvalidTag:
        raise Unreadable("it was not sealed with this key for this place, or was changed since") from None


def _bound(*parts: bytes | str) -> bytes:
    """Associated data: each part behind its length, so that no two lists of parts look the same."""
    encoded = (part if isinstance(part, bytes) else part.encode() for part in parts)
    return b"".join(len(part).to_bytes(_LENGTH_BYTES) + part for part in encoded)
