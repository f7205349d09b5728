"""Every event that was ever written can be read: one file per event type and version, exactly as on the wire.

A file never changes. A new version of a type is a new file beside the old one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain import codec, events
from domain.errors import CorruptEvent, UndecodableEvent, UnknownEvent

FILES = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.json"))}
"""`<tag>.v<version>` to its file."""


def payload_of(name: str) -> bytes:
    return FILES[name].read_bytes().rstrip(b"\n")


def tag_and_version(name: str) -> tuple[str, int]:
    tag, _, version = name.rpartition(".v")
    return tag, int(version)


CURRENT = [name for name in FILES if tag_and_version(name)[1] == codec.newest_version(tag_and_version(name)[0])]


def changed(name: str, **changes: Any) -> bytes:
    """The payload with some of its fields changed."""
    return msgspec.json.encode(msgspec.json.decode(payload_of(name)) | changes)


def test_the_corpus_covers_the_catalogue() -> None:
    """Each version of each event type has its file, and each file its type."""
    known = {(tag, v) for tag in codec.EVENT_TYPES for v in range(1, codec.newest_version(tag) + 1)}
    assert {tag_and_version(name) for name in FILES} == known
    assert {tag for tag, _ in known} == set(codec.EVENT_TYPES)


@pytest.mark.parametrize("name", FILES)
def test_an_event_is_read_in_its_present_shape(name: str) -> None:
    """Whatever its version, it comes out as the type's present shape, of the version it claims in its file's name."""
    tag, version = tag_and_version(name)
    assert msgspec.json.decode(payload_of(name))["v"] == version
    event = codec.decode(payload_of(name))
    assert type(event) is codec.EVENT_TYPES[tag]
    assert event.v == codec.newest_version(tag)


@pytest.mark.parametrize("name", CURRENT)
def test_nothing_is_lost_or_added(name: str) -> None:
    """Reading an event and writing it again gives the very bytes."""
    assert codec.encode(codec.decode(payload_of(name))) == payload_of(name)


@pytest.mark.parametrize("name", FILES)
def test_the_tag_is_read_without_the_rest(name: str) -> None:
    """The tag stands first, so a reader can pass over what it does not want."""
    assert codec.tag_of(payload_of(name)) == tag_and_version(name)[0]


@pytest.mark.parametrize("name", FILES)
def test_a_cut_event_is_corrupt(name: str) -> None:
    """Cut anywhere, it is a dead letter and never half an event."""
    payload = payload_of(name)
    for length in range(len(payload)):
        with pytest.raises(UndecodableEvent):
            codec.decode(payload[:length])


@pytest.mark.parametrize("name", FILES)
def test_an_event_of_the_future_is_unknown(name: str) -> None:
    """A version that this program does not know is not guessed at."""
    newest = codec.newest_version(tag_and_version(name)[0])
    for version in (newest + 1, 0, -1, "1", None):
        with pytest.raises(UnknownEvent):
            codec.decode(changed(name, v=version))


@pytest.mark.parametrize(
    "payload",
    [b'{"type":"auction_dreamt","v":1}', b'{"type":"","v":1}', b'{"type":"BidRequested"}', b'{"type":"\xff"}'],
)
def test_an_unknown_type(payload: bytes) -> None:
    """A type outside the catalogue is named as such."""
    with pytest.raises(UnknownEvent):
        codec.decode(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\0",
        b"null",
        b"[]",
        b"{}",
        b'{"v":1,"type":"entity_paused"}',
        b'{"type": "entity_paused"}',
        b'{"type":"entity_paused"}',
        b'{"type":"entity_paused","v":1,"id":7}',
        b'{"type":"entity_paused","v":1,"id":"\xff"}',
        b'{"type":"entity_paused","v":1,"id":' + b"[" * 100_000,
        b'{"type":"bid_placed","v":1,"price_micros":"1"}',
    ],
)
def test_a_payload_of_the_wrong_shape(payload: bytes) -> None:
    """What has not the shape of its type is a dead letter."""
    with pytest.raises(UndecodableEvent):
        codec.decode(payload)


@pytest.mark.parametrize("name", CURRENT)
def test_every_required_field_is_missed(name: str) -> None:
    """No event is understood without a field that its type requires."""
    fields = msgspec.json.decode(payload_of(name))
    required = [f.name for f in msgspec.structs.fields(codec.EVENT_TYPES[tag_and_version(name)[0]]) if f.required]
    for missing in required:
        with pytest.raises(CorruptEvent):
            codec.decode(msgspec.json.encode({key: value for key, value in fields.items() if key != missing}))


def test_a_reader_passes_over_what_it_did_not_ask_for() -> None:
    """Types of the catalogue that were not asked for are skipped unread; types outside it are not."""
    decoder = codec.Decoder([events.BidPlaced])
    assert isinstance(decoder.decode(payload_of("bid_placed.v1")), events.BidPlaced)
    assert decoder.decode(payload_of("bid_refused.v1")) is None
    assert decoder.decode(b'{"type":"bid_refused","cut') is None
    with pytest.raises(UnknownEvent):
        decoder.decode(b'{"type":"auction_dreamt"}')


@pytest.mark.parametrize("name", CURRENT)
def test_a_field_of_a_later_release_is_passed_over(name: str) -> None:
    """While processes are replaced one by one, an old one reads events of a new one that say more."""
    fields = msgspec.json.decode(payload_of(name))
    inner = {key: value | {"of_tomorrow": 1} for key, value in fields.items() if isinstance(value, dict)}
    said = msgspec.json.encode(fields | inner | {"of_tomorrow": [1, {"a": None}]})
    if "request" not in inner:  # which keeps what nobody knows
        assert codec.decode(said) == codec.decode(payload_of(name))
    else:
        assert codec.decode(said).id == fields["id"]
