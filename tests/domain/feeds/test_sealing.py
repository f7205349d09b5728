"""Sealed values open for their client, topic and key with the very data key, and for nothing else."""

from __future__ import annotations

import hmac
from functools import partial
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.feeds.sealing import (
    SEALED_MORE_BYTES,
    DataKey,
    FeedTopic,
    Unreadable,
    digest_key,
    seal,
    unwrap,
    wrap,
)

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
NONCE = bytes(range(100, 112))
VALUE = b'{"segments":["sports"]}'

places = st.tuples(st.text(max_size=8), st.sampled_from(get_args(FeedTopic)), st.text(max_size=8))


def sealed_for(client: str, topic: FeedTopic, key: str) -> bytes:
    return seal(VALUE, data_key=KEY, nonce=NONCE, client=client, topic=topic, key=key)


@given(st.binary(max_size=200), places, st.binary(min_size=12, max_size=12))
def test_what_is_sealed_opens_in_its_place(value: bytes, place: tuple[str, FeedTopic, str], nonce: bytes) -> None:
    """The value comes back, and is longer by the nonce and the tag for as long as it is sealed."""
    client, topic, key = place
    sealed = seal(value, data_key=KEY, nonce=nonce, client=client, topic=topic, key=key)
    assert len(sealed) == len(value) + SEALED_MORE_BYTES
    assert sealed.startswith(nonce)
    assert DataKey("k1", KEY).unseal(sealed, client=client, topic=topic, key=key) == value


@given(places, places)
def test_moved_or_copied_it_does_not_open(place: tuple[str, FeedTopic, str], other: tuple[str, FeedTopic, str]) -> None:
    """Under another client, topic or key nobody can read it; where one name ends and the next begins counts as well."""
    assume(place != other)
    client, topic, key = other
    with pytest.raises(Unreadable):
        DataKey("k1", KEY).unseal(sealed_for(*place), client=client, topic=topic, key=key)


def test_names_that_run_into_each_other_are_two_places() -> None:
    """`ab` and `c` are not `a` and `bc`, nor is a zero byte in a name the border between two."""
    for client, key in (("a", "bc"), ("abc", ""), ("", "abc"), ("ab\0", "c")):
        with pytest.raises(Unreadable):
            DataKey("k1", KEY).unseal(sealed_for("ab", "c", "c"), client=client, topic="c", key=key)


def test_every_changed_bit_is_noticed() -> None:
    """In the nonce, in the value and in the tag."""
    sealed = sealed_for("data-co", "b", "user")
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Unreadable):
            DataKey("k1", KEY).unseal(bytes(changed), client="data-co", topic="b", key="user")


def test_every_shorter_one_is_noticed() -> None:
    """Cut anywhere, or empty, it is unreadable and no crash."""
    sealed = sealed_for("data-co", "b", "user")
    for length in range(len(sealed)):
        with pytest.raises(Unreadable):
            DataKey("k1", KEY).unseal(sealed[:length], client="data-co", topic="b", key="user")


def test_another_data_key_opens_nothing() -> None:
    """Neither another client's nor the next one of the same."""
    with pytest.raises(Unreadable):
        DataKey("k1", OTHER_KEY).unseal(sealed_for("data-co", "b", "user"), client="data-co", topic="b", key="user")


def test_it_is_aes_256_gcm_as_everybody_knows_it() -> None:
    """Anybody with the key can open it by the description: nonce, ciphertext, tag; lengths before each bound part."""
    sealed = sealed_for("data-co", "b", "user")
    nonce, ciphertext, tag = sealed[:12], sealed[12:-16], sealed[-16:]
    decryptor = Cipher(AES256(KEY), GCM(nonce, tag)).decryptor()
    decryptor.authenticate_additional_data(b"\0\0\0\x13gavel feed record 1\0\0\0\x07data-co\0\0\0\x01b\0\0\0\x04user")
    assert decryptor.update(ciphertext) + decryptor.finalize() == VALUE


def test_a_data_key_is_kept_wrapped() -> None:
    """It unwraps for its client, by its name, under the installation's key, and otherwise not."""
    wrapped = wrap(DataKey("k1", OTHER_KEY), wrapping_key=KEY, nonce=NONCE, client="data-co")
    assert OTHER_KEY not in wrapped
    assert unwrap("k1", wrapped, wrapping_key=KEY, client="data-co") == DataKey("k1", OTHER_KEY)
    for key_id, wrapping_key, client in (("k2", KEY, "data-co"), ("k1", OTHER_KEY, "data-co"), ("k1", KEY, "else")):
        with pytest.raises(Unreadable):
            unwrap(key_id, wrapped, wrapping_key=wrapping_key, client=client)


def test_a_wrapped_key_is_no_record() -> None:
    """A key that was wrapped cannot be read as a record's value, whatever the record is called."""
    wrapped = wrap(DataKey("b", OTHER_KEY), wrapping_key=KEY, nonce=NONCE, client="data-co")
    with pytest.raises(Unreadable):
        DataKey("k1", KEY).unseal(wrapped, client="data-co", topic="b", key="")


def test_a_data_key_does_not_tell_itself() -> None:
    """In a message or a traceback stands which key it is, and nothing of it."""
    assert repr(DataKey("k1", OTHER_KEY)) == "DataKey('k1')"


def test_the_key_of_a_digest_is_one_upload_s() -> None:
    """Derived by HKDF-SHA-256 (RFC 5869), another for every data key, client, topic and upload."""
    place: dict[str, Any] = {"client": "c", "topic": "b", "upload": "u"}
    of = partial(digest_key, DataKey("k1", KEY))
    info = b"".join(len(part).to_bytes(4) + part for part in (b"gavel feed upload digest 1", b"c", b"b", b"u"))
    extracted = hmac.digest(bytes(32), KEY, "sha256")
    assert of(**place) == hmac.digest(extracted, info + b"\1", "sha256")
    others = [of(**place | {name: "c"}) for name in ("topic", "upload")] + [of(**place | {"client": "b"})]
    assert len({of(**place), digest_key(DataKey("k1", OTHER_KEY), **place), *others}) == 5
