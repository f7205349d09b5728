"""What is wrong with a bid request, all of it, each fault with its path.

Runs only after a request was refused (or looked suspicious), so it may take its time, but not without bound.
Every part is tried by itself against the same types and rules that refused the whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cache
from itertools import chain, islice
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from domain.errors import Fault
from domain.limits import REQUEST_DEPTH_MAX, REQUEST_FAULTS_MAX
from domain.openrtb.fields import Cpm, cpm_from_json
from domain.openrtb.request import App, Audio, Banner, BidRequest, Dooh, Imp, Native, RtbObject, Site, Video
from domain.openrtb.rules import EXCLUSIVE_LISTS, broken_rules

ROOT = "$"
"""The path of the whole body."""
TOO_DEEP = Fault(ROOT, f"nested deeper than {REQUEST_DEPTH_MAX} levels")
INTEGER_DIGITS_MAX = 309
"""No double has more before its point."""
KEY_SHOWN_CHARS = 64


class Unspeakable(msgspec.Struct, frozen=True):
    """A number that is none, or that no double can hold."""

    text: str


def request_faults(body: bytes, complaint: str = "") -> list[Fault]:
    """Up to REQUEST_FAULTS_MAX faults of the request in the order of the text, then the broken rules.

    `complaint` is what the decoder said; it stands for the whole where no part's fault explains it.
    """
    try:
        content = _read(body)
    except RecursionError:
        return [TOO_DEEP]
    except UnicodeDecodeError as error:
        return [Fault(ROOT, f"not UTF-8 at byte {error.start}")]
    except json.JSONDecodeError as error:
        what = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}" if body.strip() else "empty"
        return [Fault(ROOT, what)]
    if not isinstance(content, dict):
        return [Fault(ROOT, "not a JSON object")]
    found = chain(_object_faults(content, BidRequest, ""), broken_rules(_skeleton(content)))
    faults = list(islice(found, REQUEST_FAULTS_MAX))
    return faults or ([Fault(ROOT, complaint)] if complaint else [])


def text_faults(body: bytes) -> list[Fault]:
    """What is wrong with JSON of any meaning: numbers that are none, texts that no database stores."""
    try:
        return list(islice(_untyped_faults(_read(body), ""), REQUEST_FAULTS_MAX))
    except UnicodeDecodeError as error:
        return [Fault(ROOT, f"not UTF-8 at byte {error.start}")]


def _read(body: bytes) -> Any:
    """The body as plain values, where msgspec would stop at the first bad number."""
    return json.loads(body.decode(), parse_float=_float, parse_int=_int, parse_constant=Unspeakable)


def _float(text: str) -> float | Unspeakable:
    value = float(text)
    return value if math.isfinite(value) else Unspeakable(text)


def _int(text: str) -> int | Unspeakable:
    return int(text) if len(text) <= INTEGER_DIGITS_MAX else Unspeakable(text)


def _object_faults(content: dict[str, Any], kind: type[RtbObject], path: str) -> Iterator[Fault]:
    fields = _fields(kind)
    for key, value in content.items():
        where = _join(path, key)
        field_type = None if key == "ext" else fields.get(key)
        yield from _text_faults(key, where)
        yield from _untyped_faults(value, where) if field_type is None else _typed_faults(value, field_type, where)
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in content:
            yield Fault(_join(path, field.name), "required")


def _typed_faults(value: Any, field_type: Any, path: str) -> Iterator[Fault]:
    if get_origin(field_type) is UnionType:
        if value is None:
            return
        (field_type,) = (option for option in get_args(field_type) if option is not NoneType)
    if get_origin(field_type) is tuple and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _typed_faults(item, get_args(field_type)[0], f"{path}[{index}]")
    elif isinstance(field_type, type) and issubclass(field_type, RtbObject) and isinstance(value, dict):
        yield from _object_faults(value, field_type, path)
    else:
        yield from (
            _untyped_faults(value, path) if _is_unspeakable(value, path) else _leaf_faults(value, field_type, path)
        )


def _leaf_faults(value: Any, field_type: Any, path: str) -> Iterator[Fault]:
    try:
        _decoder(field_type).decode(msgspec.json.encode(value))
    except msgspec.ValidationError as error:
        yield Fault(path, str(error))


def _is_unspeakable(value: Any, path: str) -> bool:
    return next(_untyped_faults(value, path), None) is not None


def _untyped_faults(value: Any, path: str) -> Iterator[Fault]:
    """What is wrong with a value whatever its meaning."""
    match value:
        case Unspeakable(text):
            yield Fault(path, f"{text[:KEY_SHOWN_CHARS]} is not a finite number")
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
    return f"{path}[{json.dumps(key[:KEY_SHOWN_CHARS])}]"


@cache
def _fields(kind: type[RtbObject]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


@cache
def _decoder(field_type: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(field_type, dec_hook=cpm_from_json, float_hook=Cpm)


def _skeleton(content: dict[str, Any]) -> BidRequest:
    """As much of the request as the cross-field rules look at, with the badly typed parts taken as given."""

    def there(holder: dict[str, Any], name: str, value: Any) -> Any:
        return None if holder.get(name) is None else value

    def imp(index: int, content: Any) -> Imp:
        given = content if isinstance(content, dict) else {"banner": content}
        imp_id = given.get("id")
        return Imp(
            id=imp_id if isinstance(imp_id, str) else f"\0{index}",  # no id that was given has a NUL
            banner=there(given, "banner", Banner()),
            video=there(given, "video", Video(mimes=())),
            audio=there(given, "audio", Audio(mimes=())),
            native=there(given, "native", Native(request="")),
        )

    lists: dict[str, Any] = {name: ("",) if content.get(name) else None for pair in EXCLUSIVE_LISTS for name in pair}
    imps = content.get("imp")
    return BidRequest(
        id="",
        imp=tuple(imp(*item) for item in enumerate(imps)) if isinstance(imps, list) else (imp(0, {"banner": {}}),),
        site=there(content, "site", Site()),
        app=there(content, "app", App()),
        dooh=there(content, "dooh", Dooh()),
        **lists,
    )
