"""The shape of every event version ever written, as a JSON Schema beside its example.

A file of `shapes/` is what the log may hold under that version. `python -m tests.corpus.shapes` writes down what the
events of the catalogue look like now: new types, new versions, and fields that were added to the newest version. What
would no longer read as it was written it refuses: that is a new version, see `docs/EVOLUTION.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from domain import codec

FOLDER = Path(__file__).parent / "shapes"
PROSE = {"description", "title"}
ABSENT = object()

Schema = dict[str, Any]


def shape_of(event_type: type[msgspec.Struct]) -> Schema:
    """What is written now under the type, without what is only said about it."""
    schema = msgspec.json.encode(_without_prose(msgspec.json.schema(event_type)))
    return msgspec.json.decode(schema, type=Schema)


def kept_shape(tag: str, version: int) -> Schema:
    return msgspec.json.decode(file_of(tag, version).read_bytes(), type=Schema)


def file_of(tag: str, version: int) -> Path:
    return FOLDER / f"{tag}.v{version}.json"


def breaks(old: Schema, new: Schema) -> list[str]:
    """What the new shape would not read, or read otherwise than it was written under the old one, by its path."""
    return sorted(set(_breaks(old, new, (old, new), "")))


def _breaks(old: Schema, new: Schema, roots: tuple[Schema, Schema], path: str) -> Iterator[str]:
    left, right = _alternatives(old, roots[0]), _alternatives(new, roots[1])
    for one in left:
        found = [list(_breaks_of_one(one, other, roots, path)) for other in right]
        if all(found):
            yield from found[0] if len(found) == 1 else [f"{path}: one of its kinds is gone"]


def _breaks_of_one(old: Schema, new: Schema, roots: tuple[Schema, Schema], path: str) -> Iterator[str]:
    if not new:
        return  # anything is kept as it comes
    if "enum" in old and "enum" in new:
        yield from (f"{path}: {word!r} is gone" for word in old["enum"] if word not in new["enum"])
    elif old.get("type") != new.get("type"):
        yield f"{path}: was {old.get('type')}, is {new.get('type')}"
    elif old.get("type") == "object":
        yield from _breaks_of_object(old, new, roots, path)
    elif old.get("type") == "array":
        yield from _breaks(old.get("items") or {}, new.get("items") or {}, roots, f"{path}[]")
        if _bounds(old) != _bounds(new):
            yield f"{path}: another number of items"
    elif _bounds(old) != _bounds(new):
        yield f"{path}: was {_bounds(old)}, is {_bounds(new)}"


def _breaks_of_object(old: Schema, new: Schema, roots: tuple[Schema, Schema], path: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    others, others_now = old.get("additionalProperties", True), new.get("additionalProperties", True)
    if isinstance(others, dict) and isinstance(others_now, dict):
        yield from _breaks(others, others_now, roots, f"{path}{{}}")
    elif others != others_now:
        yield f"{path}: other names are {others_now}, were {others}"
    required = set(old.get("required", ()))
    yield from (f"{path}.{name}: is required now" for name in set(new.get("required", ())) - required)
    for name, shape in before.items():
        if name not in after:
            yield f"{path}.{name}: is gone"
            continue
        yield from _breaks(shape, after[name], roots, f"{path}.{name}")
        if name not in required and shape.get("default", ABSENT) != after[name].get("default", ABSENT):
            yield f"{path}.{name}: what its absence means has changed"


def _alternatives(shape: Schema, root: Schema) -> list[Schema]:
    if "$ref" in shape:
        return _alternatives(root["$defs"][shape["$ref"].rpartition("/")[2]], root)
    if "anyOf" in shape:
        return [each for kind in shape["anyOf"] for each in _alternatives(kind, root)]
    return [shape]


def _bounds(shape: Schema) -> Schema:
    """What remains of a shape beside the parts that are compared on their own."""
    return {key: value for key, value in shape.items() if key not in {"items", "default", "properties", "required"}}


def _without_prose(value: Any, *, names: bool = False) -> Any:
    """`names`: the keys are those of fields, and one of them may be called `title`."""
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if names or key not in PROSE}
        return {key: _without_prose(each, names=key in {"properties", "$defs"}) for key, each in kept.items()}
    return [_without_prose(each) for each in value] if isinstance(value, list) else value


def write_down() -> list[str]:
    """Brings the folder up to date; what it could not, because it would break what is in the log."""
    refused = []
    for tag in codec.EVENT_TYPES:
        version, shape = codec.newest_version(tag), shape_of(codec.EVENT_TYPES[tag])
        broken = breaks(kept_shape(tag, version), shape) if file_of(tag, version).exists() else []
        refused += [f"{tag}.v{version}{each}" for each in broken]
        if not broken:
            file_of(tag, version).write_bytes(msgspec.json.format(msgspec.json.encode(shape, order="sorted")) + b"\n")
    return refused


if __name__ == "__main__":
    sys.exit("\n".join(write_down()) or None)
