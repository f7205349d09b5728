"""A writer's schema, made harmless: what is left of it describes records that end when their bytes do.

The decoder trusts the schema, and the schema is a stranger's. A type that contains itself would be followed as deep as
the data say, below Python's guard; a type of no bytes can stand in the data a billion times. Both are refused. What is
handed on has no references, no names of its own, no defaults and no logical types: a date is the number that it is
written as.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import fastavro
import msgspec
from fastavro.schema import SchemaParseException

from domain.limits import FEED_AVRO_NAME_MAX_CHARS, FEED_AVRO_SCHEMA_NODES_MAX, FEED_VALUE_DEPTH_MAX

_PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_FLOATS: Final = frozenset({"float", "double"})


class OtherSchema(ValueError):
    """The file's schema does not describe records of a feed."""


class RecordSchema(msgspec.Struct, frozen=True):
    """What records of the file are decoded by."""

    parsed: Any
    """As `fastavro.parse_schema` makes it."""
    none_of_it: Any
    """The reader's schema that passes a record over, at no memory."""
    has_floats: bool
    """Then a record may hold a number that JSON has none for."""


def record_schema(text: bytes, required: Collection[str]) -> RecordSchema:
    """The schema in the file's header, if it is of a record with these fields and a key of text. Raises OtherSchema."""
    try:
        schema = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise OtherSchema("the schema is not JSON") from None
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise OtherSchema("the schema is not of a record")
    reading = _Reading()
    clean = reading.type_of(schema, "", 0, can_be_nothing=False)
    types = {field["name"]: field["type"] for field in clean["fields"]}
    if missing := [name for name in required if name not in types]:
        raise OtherSchema(f"the schema has no field {missing[0]!r}")
    key = types["key"]
    if "string" not in (key if isinstance(key, list) else [key]):
        raise OtherSchema("the schema's field 'key' is not a string")
    try:
        nothing = fastavro.parse_schema({**clean, "fields": []})
        return RecordSchema(fastavro.parse_schema(clean), nothing, reading.has_floats)
    except (SchemaParseException, ValueError, TypeError, KeyError) as error:
        raise OtherSchema(f"the schema is not one of Avro: {error}") from error


class _Reading:
    """Copies what the decoder needs to know, and writes every named type out where it is used."""

    def __init__(self) -> None:
        self.has_floats = False
        self._nodes = 0
        self._named: dict[str, tuple[Mapping[str, Any], str]] = {}
        """By full name: the type, and the namespace that it stands in."""
        self._open: set[str] = set()

    def type_of(self, schema: Any, namespace: str, depth: int, *, can_be_nothing: bool) -> Any:
        self._nodes += 1
        if self._nodes > FEED_AVRO_SCHEMA_NODES_MAX or depth > FEED_VALUE_DEPTH_MAX:
            raise OtherSchema("the schema is too large")
        if isinstance(schema, list):
            return [self.type_of(branch, namespace, depth + 1, can_be_nothing=True) for branch in schema]
        if isinstance(schema, str):
            return self._named_or_primitive(schema, namespace, depth, can_be_nothing=can_be_nothing)
        if not isinstance(schema, dict):
            raise OtherSchema("the schema is not one of Avro")
        match schema.get("type"):
            case "array":
                return {"type": "array", "items": self._part(schema, "items", namespace, depth)}
            case "map":
                return {"type": "map", "values": self._part(schema, "values", namespace, depth)}
            case "record" | "enum" | "fixed":
                return self._named_type(schema, namespace, depth)
            case inner:
                return self.type_of(inner, namespace, depth + 1, can_be_nothing=can_be_nothing)

    def _part(self, schema: Mapping[str, Any], name: str, namespace: str, depth: int) -> Any:
        return self.type_of(schema.get(name), namespace, depth + 1, can_be_nothing=False)

    def _named_or_primitive(self, name: str, namespace: str, depth: int, *, can_be_nothing: bool) -> Any:
        if name in _PRIMITIVES:
            if name == "null" and not can_be_nothing:
                raise OtherSchema("the schema has a null that nothing is an alternative to")
            self.has_floats |= name in _FLOATS
            return name
        for full in (name, f"{namespace}.{name}"):
            if full in self._named:
                return self._named_type(*self._named[full], depth)
        raise OtherSchema(f"the schema has no type {name[:64]!r}")

    def _named_type(self, schema: Mapping[str, Any], namespace: str, depth: int) -> Mapping[str, Any]:
        name, own = schema.get("name"), schema.get("namespace", namespace)
        if not isinstance(name, str) or not isinstance(own, str):
            raise OtherSchema("the schema has a type without a name")
        full = name if "." in name or not own else f"{own}.{name}"
        if full in self._open:
            raise OtherSchema(f"the schema's type {name[:64]!r} contains itself")
        number = self._nodes
        self._named[full] = (schema, namespace)
        self._open.add(full)
        clean = self._written_out(schema, full.rpartition(".")[0], depth)
        self._open.discard(full)
        return {"type": schema["type"], "name": f"type_{number}", **clean}

    def _written_out(self, schema: Mapping[str, Any], namespace: str, depth: int) -> Mapping[str, Any]:
        match schema:
            case {"type": "fixed", "size": int(size)} if size > 0:
                return {"size": size}
            case {"type": "enum", "symbols": list(symbols)} if symbols:
                return {"symbols": [_short(symbol) for symbol in symbols]}
            case {"type": "record", "fields": list(fields)} if fields and all(isinstance(f, dict) for f in fields):
                return {
                    "fields": [
                        {"name": _short(field.get("name")), "type": self._part(field, "type", namespace, depth)}
                        for field in fields
                    ]
                }
        raise OtherSchema("the schema has a type of nothing")


def _short(name: Any) -> str:
    if not isinstance(name, str) or len(name) > FEED_AVRO_NAME_MAX_CHARS:
        raise OtherSchema("the schema has a name that is no text, or too long")
    return name
