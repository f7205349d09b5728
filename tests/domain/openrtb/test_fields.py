"""Every object and field of the specification's tables is there: its type, whether it is required, its default.

The tables are those of `tests/schemas/bid_request.json`, written from section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
import pytest

from domain.openrtb.fields import Cpm, RtbObject
from domain.openrtb.request import BidRequest

SCHEMA = msgspec.json.decode((Path(__file__).parents[2] / "schemas" / "bid_request.json").read_bytes())
OBJECTS_OF_A_REQUEST = 35
"""Sections 3.2.1 to 3.2.35."""
ONLY_TO_BIDDERS = {"tmax"}
"""Required in what the exchange sends, optional in what it gets."""
JSON_TYPES = {int: "integer", float: "number", Cpm: "number", str: "string"}


class ObjectPair(NamedTuple):
    """An object of the tables, and our type of it."""

    table: dict[str, Any]
    kind: type[RtbObject]

    def __repr__(self) -> str:
        return self.kind.__name__

    def fields(self) -> dict[str, tuple[Any, Any]]:
        """By name: what the table says of a field, and our type of it. An extension may be anything."""
        types = get_type_hints(self.kind)
        return {name: (row, types.get(name)) for name, row in self.table["properties"].items() if name != "ext"}


def resolved(row: dict[str, Any]) -> dict[str, Any]:
    """The row of an array's items, or of the object that it refers to."""
    row = row.get("items", row)
    return SCHEMA["$defs"][row["$ref"].rpartition("/")[2]] if "$ref" in row else row


def element(field_type: Any) -> Any:
    """What an optional value or an array's item is."""
    for option in get_args(field_type):
        if option not in (NoneType, Ellipsis):
            return element(option)
    return field_type


def is_array(field_type: Any) -> bool:
    return any(get_origin(option) is tuple for option in (field_type, *get_args(field_type)))


def pairs(pair: ObjectPair, seen: dict[type, ObjectPair]) -> Iterator[ObjectPair]:
    """The object and all within it, each once."""
    seen[pair.kind] = pair
    yield pair
    for row, field_type in pair.fields().values():
        if "properties" in resolved(row) and element(field_type) not in seen:
            yield from pairs(ObjectPair(resolved(row), element(field_type)), seen)


OBJECTS = list(pairs(ObjectPair(SCHEMA, BidRequest), {}))


def test_every_object_is_there() -> None:
    """The walk from the request downwards meets every object of section 3.2."""
    assert len(OBJECTS) == OBJECTS_OF_A_REQUEST


@pytest.mark.parametrize("pair", OBJECTS, ids=repr)
def test_an_object_has_exactly_the_fields_of_its_table(pair: ObjectPair) -> None:
    """No field is missing or invented; each is an array or is not, and holds what the table says."""
    for name, (row, field_type) in pair.fields().items():
        assert field_type is not None, f"{name} is missing"
        assert is_array(field_type) == (row.get("type") == "array"), name
        table = resolved(row)
        if "properties" in table:
            assert issubclass(element(field_type), RtbObject), name
        else:
            assert JSON_TYPES[element(field_type)] == table.get("type", "integer"), name  # a flag's row is an enum
    assert set(pair.kind.__struct_fields__) - {"ext"} == set(pair.fields())


@pytest.mark.parametrize("pair", OBJECTS, ids=repr)
def test_what_is_required_and_what_is_assumed(pair: ObjectPair) -> None:
    """A required field has no default; a field that may be left out has the table's default, or none is known."""
    required = set(pair.table.get("required", ())) - ONLY_TO_BIDDERS
    defaults = {name: row.get("default") for name, (row, _) in pair.fields().items() if name not in required}
    ours = {field.name: field for field in msgspec.structs.fields(pair.kind) if field.name != "ext"}
    assert {name for name, field in ours.items() if field.required} == required
    assert {name: _plain(field.default) for name, field in ours.items() if not field.required} == defaults


def _plain(default: Any) -> Any:
    return int(default) if isinstance(default, Decimal) else default
