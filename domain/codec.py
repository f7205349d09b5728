"""Events to JSON and back, over every version that was ever written.

`encode` writes the newest version. `decode` reads all of them: an old payload is raised, version by version, by the
chains of `domain/upcasters/`, then checked against the type's present shape. An event that is carried by another one
is raised on its own account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar, get_args, get_type_hints

import msgspec

from domain import events, feed_events  # noqa: F401 - defined is in the catalogue
from domain.errors import UndecodableEvent, UnknownEvent
from domain.excerpt import Excerpt
from domain.upcasters import CHAINS, Chain, Fields

Shape = TypeVar("Shape", bound=events.Event | Excerpt)

_TAG_START = b'{"type":"'
_NOT_DECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes of any kind; the last for arrays without end."""


def _concrete_types(base: type[events.Event]) -> Iterable[type[events.Event]]:
    for subclass in base.__subclasses__():
        if subclass.__subclasses__():
            yield from _concrete_types(subclass)
        else:
            yield subclass


def _tag(event_type: type[msgspec.Struct]) -> str:
    tag = event_type.__struct_config__.tag
    assert isinstance(tag, str), event_type
    return tag


EVENT_TYPES: dict[str, type[events.Event]] = {_tag(each): each for each in _concrete_types(events.Event)}
"""The catalogue: tag to type."""

encode: Callable[[events.Event], bytes] = msgspec.json.Encoder().encode
"""An event as JSON, its tag first."""


def tag_of(payload: bytes) -> str:
    """The event's type without decoding the rest. Raises UndecodableEvent."""
    if payload.startswith(_TAG_START):
        end = payload.find(b'"', len(_TAG_START))
        if end > 0:
            return payload[len(_TAG_START) : end].decode("utf-8", "replace")
    raise UndecodableEvent("the payload does not start with the tag 'type'")


def newest_version(tag: str, chains: Mapping[str, Chain] = CHAINS) -> int:
    """The version in which events of the type are written now."""
    return 1 + len(chains.get(tag, ()))


class Decoder(Generic[Shape]):
    """Decodes the events of chosen types, or excerpts of them, and passes over all others of the catalogue unread."""

    def __init__(self, types: Iterable[type[Shape]], chains: Mapping[str, Chain] = CHAINS) -> None:
        self._shapes = {_tag(each): each for each in types}
        self._chains = chains
        # By the payload's first bytes up to the end of the tag: the cheapest thing to know a type by.
        self._by_start = {
            _TAG_START + tag.encode(): self._reader(tag) if tag in self._shapes else None for tag in EVENT_TYPES
        }

    def __repr__(self) -> str:
        starts = sorted(start for start, decode in self._by_start.items() if decode)
        return f"Decoder({[start.removeprefix(_TAG_START).decode() for start in starts]})"

    def _reader(self, tag: str) -> tuple[str, Callable[[bytes], Shape], int, tuple[str, ...]]:
        shape = self._shapes[tag]
        carried = tuple(name for name in _CARRIED[tag] if name in shape.__struct_fields__)
        return tag, msgspec.json.Decoder(shape).decode, newest_version(tag, self._chains), carried

    def decode(self, payload: bytes) -> Shape | None:
        """The event, or None for a known type that was not asked for.

        Raises UnknownEvent for a type or version outside the catalogue, UndecodableEvent for a bad payload.
        """
        try:
            known = self._by_start[payload[: payload.find(b'"', len(_TAG_START))]]
        except KeyError:
            raise UnknownEvent(f"no event type {tag_of(payload)!r} in the catalogue") from None
        if known is None:
            return None
        tag, decode, newest, carried = known
        try:
            event = decode(payload)
        except _NOT_DECODABLE as error:
            return self._decode_old(tag, payload, error)
        if event.v == newest and not (carried and self._carries_old(event, carried)):
            return event
        return self._decode_old(tag, payload, None)

    def _carries_old(self, event: Shape, carried: Iterable[str]) -> bool:
        held = [each for each in (getattr(event, name) for name in carried) if each is not None]
        return any(each.v != newest_version(_tag(type(each)), self._chains) for each in held)

    def _decode_old(self, tag: str, payload: bytes, error: Exception | None) -> Shape:
        """Raises the payload to the present version. `error` is what the present shape said to it."""
        try:
            fields = msgspec.json.decode(payload, type=dict[str, Any])
            kept = msgspec.json.decode(payload, type=dict[str, msgspec.Raw]) if _RAW[tag] else {}
        except _NOT_DECODABLE as malformed:
            raise UndecodableEvent(f"{tag}: {malformed}") from malformed
        version = fields.get("v", 1)
        fields |= {name: kept[name] for name in _RAW[tag] if name in kept}
        raised = self._raised(tag, fields)
        if raised is fields:
            raise UndecodableEvent(f"{tag}: {error}") from error
        try:
            # Through JSON once more: `msgspec.convert` cannot make the Raw of a field that is kept as it came.
            return msgspec.json.decode(msgspec.json.encode(raised), type=self._shapes[tag])
        except (msgspec.ValidationError, TypeError) as invalid:
            raise UndecodableEvent(f"{tag} raised from version {version}: {invalid}") from invalid

    def _raised(self, tag: str, fields: Fields) -> Fields:
        """The fields in their present shape; the very same ones where they have it already."""
        newest = newest_version(tag, self._chains)
        version = fields.get("v", 1)
        if not isinstance(version, int) or not 1 <= version <= newest:
            raise UnknownEvent(f"{tag} has no version {version!r}; the newest known here is {newest}")
        for step in range(version, newest):
            try:
                fields = self._chains[tag][step - 1](dict(fields)) | {"v": step + 1}
            except Exception as error:
                # Whatever an upcaster stumbles over is the payload's fault: no shape of the past looked like it.
                reason = f"{type(error).__name__}: {error}"
                raise UndecodableEvent(f"{tag} cannot be raised from version {step}: {reason}") from error
        for name in _CARRIED[tag]:
            held = fields.get(name)
            if isinstance(held, dict) and held.get("type") in EVENT_TYPES:
                fields = fields | {name: self._raised(held["type"], held)}
        return fields


def _carried(event_type: type[events.Event]) -> tuple[str, ...]:
    """Its fields that hold another event."""
    hints = get_type_hints(event_type).items()
    return tuple(name for name, hint in hints if any(each in EVENT_TYPES.values() for each in (hint, *get_args(hint))))


def _raw(event_type: type[events.Event]) -> tuple[str, ...]:
    """Its fields that are kept as they came, byte for byte."""
    return tuple(name for name, hint in get_type_hints(event_type).items() if hint is msgspec.Raw)


_CARRIED = {tag: _carried(each) for tag, each in EVENT_TYPES.items()}
_RAW = {tag: _raw(each) for tag, each in EVENT_TYPES.items()}
_decode_all = Decoder(EVENT_TYPES.values()).decode


def decode(payload: bytes) -> events.Event:
    """The event in its type's present shape; raises UnknownEvent or UndecodableEvent."""
    event = _decode_all(payload)
    assert event is not None, "every type of the catalogue was asked for"
    return event
