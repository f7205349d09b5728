"""A form: how the terms of one kind of entity are stated in JSON.

The owner states money as decimal text and leaves out what shall be as usual; the catalogue keeps micros. A form turns
one into the other and back, and refuses what cannot be, every fault at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from domain.catalogue import Terms
from domain.entity import Entity, EntityKind
from domain.errors import Fault, InvalidInput
from domain.limits import REQUEST_DEPTH_MAX, REQUEST_FAULTS_MAX
from domain.openrtb.nesting import nests_deeper_than
from domain.terms.faults import object_faults, value_faults

Kind = TypeVar("Kind", bound=Terms)
Stated = TypeVar("Stated", bound=msgspec.Struct)
Object = dict[str, Any]
"""As JSON has it."""


class Reference(NamedTuple):
    """Another entity that terms name."""

    path: str
    kind: EntityKind
    id: str
    name: str = ""
    """Where the terms name it by that, and its id follows."""


class Registration(NamedTuple, Generic[Kind]):
    """What `POST /v1/…` states."""

    terms: Kind
    id: str | None
    """Where the owner chooses it, or it follows from the terms."""


def _nothing(_: Any) -> Iterator[Any]:
    return iter(())


@dataclass(frozen=True, kw_only=True, slots=True)
class Form(Generic[Stated, Kind]):
    """The form of one kind."""

    kind: EntityKind
    stated: type[Stated]
    terms: type[Kind]
    to_terms: Callable[[Stated], Kind]
    to_stated: Callable[[Kind], Stated]
    references: Callable[[Kind], Iterable[Reference]] = _nothing
    rules: Callable[[Mapping[str, Any]], Iterable[Fault]] = _nothing
    """Faults that only several fields, or a setting, can tell; it is given the fields that are well-formed."""
    one_of: tuple[str, ...] = ()
    """Fields of which exactly one is stated."""
    id_type: Any = None
    """Where the owner may choose the entity's id: the type of the field `id`."""
    id_of: Callable[[Kind], str] | None = None
    """Where the id follows from the terms; what it follows from never changes."""

    def registration(self, body: bytes) -> Registration[Kind]:
        """What the body states. Raises InvalidInput with every fault."""
        value = _json_object(body)
        chosen = value.pop("id", None) if self.id_type is not None else None
        faults = [] if chosen is None else list(value_faults(chosen, self.id_type, "id"))
        terms = self._terms(value, faults)
        return Registration(terms, chosen if self.id_of is None else self.id_of(terms))

    def patched(self, entity: Entity, patch: bytes) -> Kind:
        """The entity's terms after a JSON Merge Patch (RFC 7396). Raises InvalidInput with every fault."""
        changes = _json_object(patch)
        faults = [Fault("id", "cannot change")] if "id" in changes and self.id_type is not None else []
        if faults:
            del changes["id"]
        return self._terms(_merged(self.shown(entity), changes), faults)

    def shown(self, entity: Entity) -> Object:
        """The entity's terms as its owner would state them, every field of them."""
        return self.as_stated(self.terms_of(entity))

    def as_stated(self, terms: Kind) -> Object:
        """Terms in JSON's own types."""
        stated: Object = msgspec.to_builtins(self.to_stated(terms), builtin_types=(Decimal,))
        return {name: _shown(value) for name, value in stated.items()}

    def terms_of(self, entity: Entity) -> Kind:
        return msgspec.json.decode(entity.terms, type=self.terms)

    def _terms(self, value: Object, faults: list[Fault]) -> Kind:
        faults += islice(object_faults(value, self.stated), REQUEST_FAULTS_MAX)
        unfit = {fault.path.partition("[")[0].partition(".")[0] for fault in faults}
        given = {name: each for name, each in value.items() if each is not None}
        faults += self._choice_faults(given)
        faults += self.rules({name: each for name, each in given.items() if name not in unfit})
        if faults:
            raise InvalidInput(faults[:REQUEST_FAULTS_MAX])
        return self.to_terms(msgspec.convert(given, self.stated))

    def _choice_faults(self, given: Object) -> Iterator[Fault]:
        stated = [name for name in self.one_of if name in given]
        if self.one_of and not stated:
            yield Fault(self.one_of[0], f"is required, or {' or '.join(self.one_of[1:])}")
        for surplus in stated[1:]:
            yield Fault(surplus, f"stands beside {stated[0]}: one of both is stated, the other is absent or null")


def _json_object(body: bytes) -> Object:
    try:
        value: Object = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput([Fault("", f"is not a JSON object: {error}")]) from error
    if nests_deeper_than(REQUEST_DEPTH_MAX, body):
        raise InvalidInput([Fault("", f"is nested deeper than {REQUEST_DEPTH_MAX} levels")])
    return value


def _merged(value: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    kept = value if isinstance(value, dict) else {}
    merged = {name: each for name, each in kept.items() if patch.get(name, ...) is not None}
    return merged | {name: _merged(kept.get(name), each) for name, each in patch.items() if each is not None}


def _shown(value: Any) -> Any:
    """Decimals without an exponent, and lists of objects without what they leave open."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value]
    return (
        {name: _shown(each) for name, each in value.items() if each is not None} if isinstance(value, dict) else value
    )
