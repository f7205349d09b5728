"""Events to JSON and back, over every version that was ever written.

`encode` writes the newest version. `decode` reads all of them: an old payload is raised, version by version,
by the upcasters registered below, then checked against the type's present shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from domain import events
from domain.errors import UndecodableEvent, UnknownEvent

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""(type, version) to the function that raises a payload of that version to the next one."""

_TAG_START = b'{"type":"'
_NOT_DECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes of any kind; the last for arrays without end."""


def _concrete_types(base: type[events.Event]) -> Iterable[type[events.Event]]:
    for subclass in base.__subclasses__():
        if subclass.__subclasses__():
            yield from _concrete_types(subclass)
        else:
            yield subclass


def _tag(event_type: type[events.Event]) -> str:
    tag = event_type.__struct_config__.tag
    assert isinstance(tag, str), event_type
    return tag


EVENT_TYPES: dict[str, type[events.Event]] = {_tag(each): each for each in _concrete_types(events.Event)}
"""The catalogue: tag to type."""

_CURRENT_VERSIONS = {
    tag: 1 + max((version for old, version in UPCASTERS if old == tag), default=0) for tag in EVENT_TYPES
}

encode: Callable[[events.Event], bytes] = msgspec.json.Encoder().encode
"""An event as JSON, its tag first."""


def tag_of(payload: bytes) -> str:
    """The event's type without decoding the rest. Raises UndecodableEvent."""
    if payload.startswith(_TAG_START):
        end = payload.find(b'"', len(_TAG_START))
        if end > 0:
            return payload[len(_TAG_START) : end].decode("utf-8", "replace")
    raise UndecodableEvent("the payload does not start with the tag 'type'")


class Decoder:
    """Decodes the events of chosen types and passes over all others of the catalogue unread."""

    def __init__(self, types: Iterable[type[events.Event]]) -> None:
        wanted = {_tag(each) for each in types}
        # By the payload's first bytes up to the end of the tag: the cheapest thing to know a type by.
        self._by_start = {
            _TAG_START + tag.encode(): (tag, msgspec.json.Decoder(each).decode) if tag in wanted else None
            for tag, each in EVENT_TYPES.items()
        }

    def __repr__(self) -> str:
        starts = sorted(start for start, decode in self._by_start.items() if decode)
        return f"Decoder({[start.removeprefix(_TAG_START).decode() for start in starts]})"

    def decode(self, payload: bytes) -> events.Event | None:
        """The event, or None for a known type that was not asked for.

        Raises UnknownEvent for a type or version outside the catalogue, UndecodableEvent for a bad payload.
        """
        try:
            known = self._by_start[payload[: payload.find(b'"', len(_TAG_START))]]
        except KeyError:
            raise UnknownEvent(f"no event type {tag_of(payload)!r} in the catalogue") from None
        if known is None:
            return None
        tag, decode = known
        try:
            event = decode(payload)
        except _NOT_DECODABLE as error:
            return _decode_old(tag, payload, error)
        if event.v == _CURRENT_VERSIONS[tag]:
            return event
        return _decode_old(tag, payload, None)


_decode_all = Decoder(EVENT_TYPES.values()).decode


def decode(payload: bytes) -> events.Event:
    """The event in its type's present shape; raises UnknownEvent or UndecodableEvent."""
    event = _decode_all(payload)
    assert event is not None, "every type of the catalogue was asked for"
    return event


def _decode_old(tag: str, payload: bytes, error: Exception | None) -> events.Event:
    """Raises the payload to the present version, step by step. `error` is what the present shape said to it."""
    current = _CURRENT_VERSIONS[tag]
    try:
        fields = msgspec.json.decode(payload, type=dict[str, Any])
    except _NOT_DECODABLE as malformed:
        raise UndecodableEvent(f"{tag}: {malformed}") from malformed
    version = fields.get("v", 1)
    if not isinstance(version, int) or not 1 <= version <= current:
        raise UnknownEvent(f"{tag} has no version {version!r}; the newest known here is {current}")
    if version == current:
        raise UndecodableEvent(f"{tag}: {error}") from error
    for step in range(version, current):
        fields = UPCASTERS[tag, step](fields) | {"v": step + 1}
    try:
        # Through JSON once more: `msgspec.convert` cannot make the Raw of a field that is kept as it came.
        return msgspec.json.decode(msgspec.json.encode(fields), type=EVENT_TYPES[tag])
    except msgspec.ValidationError as invalid:
        raise UndecodableEvent(f"{tag} raised from version {version}: {invalid}") from invalid
