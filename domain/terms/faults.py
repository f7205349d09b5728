"""What is wrong with stated terms: all of it at once, each fault with its path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache, reduce
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from domain.errors import Fault
from domain.terms.fields import Rule

_PLAIN_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")
"""`Decimal` by itself takes underscores, blanks, exponents and the digits of every script as well."""
_INSIDE = re.compile(r"^(?P<message>.*) - at `\$(?P<path>.*)`$", re.DOTALL)


class Field(NamedTuple):
    """One field of a Struct."""

    type: Any
    is_required: bool


@cache
def fields_of(stated: type[msgspec.Struct]) -> Mapping[str, Field]:
    """The fields of a Struct by name, with the annotations that rules stand in."""
    types = get_type_hints(stated, include_extras=True)
    return {each.name: Field(types[each.name], each.required) for each in msgspec.structs.fields(stated)}


def object_faults(value: Mapping[str, Any], stated: type[msgspec.Struct], path: str = "") -> Iterator[Fault]:
    """Faults of a JSON object. Null means absent."""
    fields = fields_of(stated)
    within = f"{path}." if path else ""
    for name, field in fields.items():
        if value.get(name) is not None:
            yield from value_faults(value[name], field.type, within + name)
        elif field.is_required:
            yield Fault(within + name, "is required")
    for name in value:
        if name not in fields:
            yield Fault(within + name, "is not a field here; there are " + ", ".join(fields))


def value_faults(value: Any, kind: Any, path: str) -> Iterator[Fault]:
    """Faults of a JSON value that should be of a type; the parts of a list or object each by themselves."""
    bare, rules = _bare(kind)
    if isinstance(value, list) and get_origin(bare) is tuple and get_args(bare)[-1] is Ellipsis:
        inside = [
            fault
            for index, each in enumerate(value)
            for fault in value_faults(each, get_args(bare)[0], f"{path}[{index}]")
        ]
        yield from inside or _converted_faults(value, kind, path)
    elif isinstance(value, dict) and isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        yield from object_faults(value, bare, path)
    elif bare is Decimal and isinstance(value, str) and not _PLAIN_DECIMAL.fullmatch(value):
        yield Fault(path, 'is not a plain decimal number like "1.25"')
    elif unfit := list(_converted_faults(value, kind, path)):
        yield from unfit
    else:
        whats = (rule.fault_of(msgspec.convert(value, kind)) for rule in rules)
        yield from (Fault(path, what) for what in whats if what)


def _converted_faults(value: Any, kind: Any, path: str) -> Iterator[Fault]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        inside = _INSIDE.match(str(error))
        yield Fault(path + inside["path"], inside["message"]) if inside else Fault(path, str(error))


def _bare(kind: Any) -> tuple[Any, list[Rule]]:
    """The type without its annotations and without None, and the rules among the annotations."""
    rules: list[Rule] = []
    while True:
        if get_origin(kind) is Annotated:
            rules += (each for each in kind.__metadata__ if isinstance(each, Rule))
            kind = kind.__origin__
        elif get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind):
            kind = reduce(or_, (each for each in get_args(kind) if each is not NoneType))
        else:
            return kind, rules
