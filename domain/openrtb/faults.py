"""What is wrong with a bid request, all of it, each fault with its path.

Runs only after a request was refused (or looked suspicious), so it may take its time, but not without bound.
Every part is tried by itself against the same types and rules that refused the whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterator
from decimal import InvalidOperation
from functools import cache
from itertools import islice
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from domain.errors import Fault
from domain.limits import REQUEST_DEPTH_MAX, REQUEST_FAULTS_MAX, REQUEST_IMPS_MAX
from domain.openrtb.fields import Cpm, RtbObject, cpm_from_json
from domain.openrtb.nesting import nests_deeper_than
from domain.openrtb.request import BidRequest
from domain.openrtb.rules import broken_rules

ROOT = "$"
"""The path of the whole body."""
TOO_DEEP = Fault(ROOT, f"nested deeper than {REQUEST_DEPTH_MAX} levels")
KEY_SHOWN_CHARS = 64
MESSAGE_MAX_CHARS = 200
ESCAPED_NUL = b"\\u0000"
"""Legal in JSON, but Postgres stores no text that holds it; behind a backslash of its own it is none."""


_SOME_IMP: dict[str, Any] = {"banner": {}}
"""Stands for an imp that is none: its own fault is found elsewhere."""


class Unspeakable:
    """A number that is none, or that no double can hold. Nothing encodes it."""

    def __init__(self, text: str) -> None:
        self.text = text


def request_faults(body: bytes) -> list[Fault]:
    """Up to REQUEST_FAULTS_MAX faults of the request: in the order of the text, then the broken rules."""
    try:
        content = _read(body)
        if nests_deeper_than(REQUEST_DEPTH_MAX, body):
            return [TOO_DEEP]
    except RecursionError:
        return [TOO_DEEP]
    except UnicodeDecodeError as error:
        return [Fault(ROOT, f"not UTF-8 at byte {error.start}")]
    except json.JSONDecodeError as error:
        what = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}" if body.strip() else "empty"
        return [Fault(ROOT, what)]
    if not isinstance(content, dict):
        return [Fault(ROOT, "not a JSON object")]
    return list(islice(_all_faults(content), REQUEST_FAULTS_MAX))


def _all_faults(content: dict[str, Any]) -> Iterator[Fault]:
    yield from _object_faults(content, BidRequest, "")
    yield from broken_rules(_skeleton(content))


def first_text_fault(body: bytes) -> Fault | None:
    """What is wrong with well-formed JSON whatever its meaning: a number no double holds, a text no database stores."""
    try:
        return next(_untyped_faults(_read(body), ""), None)
    except UnicodeDecodeError as error:
        return Fault(ROOT, f"not UTF-8 at byte {error.start}")


def decoder_fault(error: Exception, path: str = "") -> Fault:
    """The complaint of msgspec, the path taken out of its words and put behind `path`."""
    if isinstance(error, InvalidOperation):
        return Fault(path or ROOT, "a number is out of range")
    message, _, where = str(error).partition(" - at `$")
    return Fault((path + where.rstrip("`")).lstrip(".") or ROOT, message[:MESSAGE_MAX_CHARS])


def _float(text: str) -> float | Unspeakable:
    value = float(text)
    return value if math.isfinite(value) else Unspeakable(text)


def _int(text: str) -> int | Unspeakable:
    try:
        return int(text)
    except ValueError:  # Python's bound on digits
        return Unspeakable(text)


# As msgspec reads, except that it goes on behind a bad number.
_READER = json.JSONDecoder(parse_float=_float, parse_int=_int, parse_constant=Unspeakable)


def _read(body: bytes) -> Any:
    return _READER.decode(body.decode())


def _object_faults(content: dict[str, Any], kind: type[RtbObject], path: str) -> Iterator[Fault]:
    fields = _fields(kind)
    for key, value in content.items():
        where = _join(path, key)
        yield from _text_faults(key, where)
        yield from _faults(value, fields.get(key, Any), where)
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in content:
            yield Fault(_join(path, field.name), "required")


def _faults(value: Any, field_type: Any, path: str) -> Iterator[Fault]:
    if _fits(value, field_type):
        return
    field_type = _given(field_type)
    if field_type is Any:
        yield from _untyped_faults(value, path)
    elif isinstance(value, list) and get_origin(items := _without_bound(field_type)) is tuple:
        if items is not field_type and len(value) > (most := get_args(field_type)[1].max_length):
            yield Fault(path, f"more than {most}")
        if not _fits(value, items):
            yield from _item_faults(value, items, path, 0)
    elif _is_object(field_type) and isinstance(value, dict):
        yield from _object_faults(value, field_type, path)
    else:
        untyped = next(_untyped_faults(value, path), None)
        yield untyped or _leaf_fault(value, field_type, path)


def _item_faults(items: list[Any], list_type: Any, path: str, first: int) -> Iterator[Fault]:
    """By halves, so that one bad item among a hundred thousand is found quickly; `first` is the place of the first."""
    if len(items) == 1:
        yield from _faults(items[0], get_args(list_type)[0], f"{path}[{first}]")
        return
    middle = len(items) // 2
    for start, half in ((0, items[:middle]), (middle, items[middle:])):
        if not _fits(half, list_type):
            yield from _item_faults(half, list_type, path, first + start)


def _fits(value: Any, field_type: Any) -> bool:
    """Whether nothing in the value is wrong: asked first, so that only what is wrong is walked in Python."""
    try:
        encoded = msgspec.json.encode(value)
        _decoder(field_type).decode(encoded)
    except (TypeError, UnicodeEncodeError, msgspec.ValidationError):
        return False
    return ESCAPED_NUL not in encoded


def _leaf_fault(value: Any, field_type: Any, path: str) -> Fault:
    try:
        _decoder(field_type).decode(msgspec.json.encode(value))
    except msgspec.ValidationError as error:
        return decoder_fault(error, path)
    raise AssertionError(f"{path}: {value!r} fits {field_type}")


def _untyped_faults(value: Any, path: str) -> Iterator[Fault]:
    """What is wrong with a value whatever its meaning."""
    match value:
        case Unspeakable():
            yield Fault(path, f"{value.text[:KEY_SHOWN_CHARS]} is not a finite number")
        case str():
            yield from _text_faults(value, path)
        case list():
            for index, item in enumerate(value):
                yield from _untyped_faults(item, f"{path}[{index}]")
        case dict():
            for key, item in value.items():
                yield from _text_faults(key, _join(path, key))
                yield from _untyped_faults(item, _join(path, key))


def _text_faults(text: str, path: str) -> Iterator[Fault]:
    if "\0" in text:
        yield Fault(path, "the character NUL is not allowed")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        yield Fault(path, "half of a surrogate pair")


def _join(path: str, key: str) -> str:
    if key.isascii() and key.isidentifier() and len(key) <= KEY_SHOWN_CHARS:
        return f"{path}.{key}" if path else key
    return f"{path}[{key[:KEY_SHOWN_CHARS]!a}]"


@cache
def _fields(kind: type[RtbObject]) -> dict[str, Any]:
    """Name to type; an extension may hold anything."""
    return get_type_hints(kind, include_extras=True) | {"ext": Any}


@cache
def _decoder(field_type: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(field_type, dec_hook=cpm_from_json, float_hook=Cpm)


def _skeleton(content: dict[str, Any]) -> BidRequest:
    """The request for the cross-field rules alone: a badly typed or missing value stands in it as one that is given."""
    imps = content.get("imp")
    if isinstance(imps, list):
        bounded = [each if isinstance(each, dict) else _SOME_IMP for each in imps[: REQUEST_IMPS_MAX + 1]]
    else:
        bounded = [_SOME_IMP]
    request = _object_as_given(content | {"imp": bounded}, BidRequest)
    assert isinstance(request, BidRequest)
    return request


def _as_given(value: Any, field_type: Any) -> Any:
    """Objects, and lists of them, as their types; a value as it stands."""
    field_type = _without_bound(_given(field_type))
    if _is_object(field_type):
        return _object_as_given(value if isinstance(value, dict) else {}, field_type)
    if get_origin(field_type) is tuple:
        if not isinstance(value, list):
            return ()
        (item_type, _) = get_args(field_type)
        return tuple(_as_given(item, item_type) for item in value) if _is_object(item_type) else value
    # A list where a text should be is nobody's id; two of them are not the same id.
    return value if isinstance(value, Hashable) else object()


def _object_as_given(content: dict[str, Any], kind: type[RtbObject]) -> RtbObject:
    types, required = _fields(kind), _required(kind)
    if not content and not required:
        return _empty(kind)
    given = {name: value for name, value in content.items() if name in types and value is not None}
    missing = {name: object() for name in required if name not in given}
    return kind(**{name: _as_given(value, types[name]) for name, value in (missing | given).items()})


@cache
def _empty(kind: type[RtbObject]) -> RtbObject:
    """A body has room for a hundred thousand of them."""
    return kind()


@cache
def _required(kind: type[RtbObject]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(kind) if field.required)


def _given(field_type: Any) -> Any:
    """The type without None."""
    if get_origin(field_type) not in (UnionType, Union):
        return field_type
    (given,) = (option for option in get_args(field_type) if option is not NoneType)
    return given


def _without_bound(field_type: Any) -> Any:
    """The list's type without its greatest length; another type as it is."""
    bare = get_args(field_type)[0] if get_origin(field_type) is Annotated else field_type
    return bare if get_origin(bare) is tuple else field_type


def _is_object(field_type: Any) -> bool:
    return isinstance(field_type, type) and issubclass(field_type, RtbObject)
