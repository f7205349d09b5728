"""What the OpenAPI document says about the catalogue: the same operations for every kind, each with its own terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from api.catalogue_entity import COLLECTIONS, Collection
from api.json_body import JSON, MERGE_PATCH
from api.openapi_catalogue_examples import CHANGES, EXAMPLE_ID, EXAMPLE_KEY, TERMS
from api.read.paging import LIMIT_DEFAULT, LIMIT_MAX
from api.write.catalogue import MOVES
from domain.entity import EntityKind
from domain.holdings import BELONGS_TO
from domain.limits import IDEMPOTENCY_KEY_MAX_CHARS
from domain.terms.form import Form
from domain.terms.kinds import all_forms

Node = dict[str, Any]

_FORMS = all_forms(allow_private=False)
_SUMMARIES = {"pause": "Pause {}", "resume": "Resume {}", "archive": "Archive {} for good"}
_MOVE_MEANINGS = {
    "pause": "It takes no part in auctions until it is resumed.",
    "resume": "It takes part in auctions again. Nothing comes back from the archive (409).",
    "archive": "It never takes part in auctions again and its terms cannot change any more; its history stays.",
}
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "The `ETag` that the change was decided on; 412 if the entity has another version by now.",
    "schema": {"type": "string"},
    "example": '"1"',
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": (
        "Makes a retry safe for a day: the same command gets the first answer again, another one with the same key "
        "422, one that is still being worked on 409."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_MAX_CHARS},
    "example": "5f3c1a52-7d0e-4c55-9d3a-0f3f3f6f4c11",
}
_LIST_PARAMETERS = [
    {"name": "status", "in": "query", "schema": {"type": "string", "enum": ["active", "paused", "archived"]}},
    {"name": "cursor", "in": "query", "description": "`next_cursor` of the page before.", "schema": {"type": "string"}},
    {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
    },
]
_CHANGED_HEADERS = {
    "Location": {"description": "The entity's address.", "schema": {"type": "string"}},
    "ETag": {"description": "Its version, for `If-Match`.", "schema": {"type": "string"}, "example": '"1"'},
    "Gavel-Token": {"description": "With it a query waits for this change.", "schema": {"type": "string"}},
}


def catalogue_paths() -> dict[str, Node]:
    """The operations of all kinds."""
    paths: dict[str, Node] = {}
    for collection in COLLECTIONS:
        path = f"/v1/{collection.path}"
        register = _issue if collection.is_issued else _register
        paths[path] = {"get": _list(collection), "post": register(collection)}
        paths[f"{path}/{{id}}"] = {"get": _one(collection)}
        if collection.has_status and not collection.is_issued:
            paths[f"{path}/{{id}}"]["patch"] = _change(collection)
        if collection.has_status:
            paths |= {f"{path}/{{id}}/{move}": {"post": _move(collection, move)} for move in MOVES}
    return paths


def catalogue_schemas() -> dict[str, Node]:
    """The terms of every kind, as they are stated and as entities answer with them."""
    _, schemas = msgspec.json.schema_components(
        [form.stated for form in _FORMS.values()], ref_template="#/components/schemas/{name}"
    )
    for form in _FORMS.values():
        terms = schemas[_terms_name(form)]
        if form.id_type is not None:
            terms["properties"]["id"] = msgspec.json.schema(form.id_type) | {"description": "Absent: chosen by Gavel."}
        schemas[_entity_name(form.kind)] = _entity_schema(terms)
    return schemas


def _entity_schema(terms: Mapping[str, Any]) -> Node:
    added = {
        "id": {"type": "string"},
        "version": {"type": "integer", "minimum": 1},
        "status": {"type": "string", "enum": ["active", "paused", "archived"]},
    }
    properties = added | {name: each for name, each in terms["properties"].items() if name not in added}
    return {"type": "object", "required": list(properties), "properties": properties}


def _terms_name(form: Form[Any, Any]) -> str:
    return str(form.stated.__name__)


def _entity_name(kind: EntityKind) -> str:
    return f"{_terms_name(_FORMS[kind])}Entity"


def _list(collection: Collection) -> Node:
    page = {
        "type": "object",
        "required": ["items", "next_cursor"],
        "properties": {
            "items": {"type": "array", "items": _ref(_entity_name(collection.kind))},
            "next_cursor": {"type": ["string", "null"]},
        },
    }
    example = {"items": [_example(collection.kind)], "next_cursor": None}
    return _operation(
        collection,
        "List",
        f"All {collection.path.replace('-', ' ')}",
        "In the order of their ids; archived ones included unless `status` says otherwise.",
        parameters=[*_LIST_PARAMETERS, *_owner_parameters(collection)],
        responses={"200": _content(page, example) | {"description": "A page."}},
    )


def _owner_parameters(collection: Collection) -> Iterator[Node]:
    for kind in BELONGS_TO.get(collection.kind, ()):
        meaning = f"Only those of this {kind}."
        yield {"name": f"{kind}_id", "in": "query", "description": meaning, "schema": {"type": "string"}}


def _one(collection: Collection) -> Node:
    answer = _content(_ref(_entity_name(collection.kind)), _example(collection.kind))
    headers = {"ETag": _CHANGED_HEADERS["ETag"]}
    return _operation(
        collection,
        "Show",
        f"One {collection.singular}",
        "Its `ETag` is the version that a change may name in `If-Match`.",
        parameters=[_ID],
        responses={"200": answer | {"description": "As it stands in the read model.", "headers": headers}},
    )


def _register(collection: Collection) -> Node:
    summary = f"{'Register' if collection.has_status else 'State'} {_one_of(collection)}"
    changes = {} if collection.has_status else {"200": _changed(collection, "It was known, and is changed.")}
    return _operation(
        collection,
        "Register",
        summary,
        f"{_FORMS[collection.kind].stated.__doc__} `Gavel-Token` lets a query wait to see it. Every fault is named.",
        parameters=[_IDEMPOTENCY_KEY],
        requestBody=_body(_ref(_terms_name(_FORMS[collection.kind])), TERMS[collection.kind], JSON),
        responses={"201": _changed(collection, "Logged."), **changes},
    )


def _issue(collection: Collection) -> Node:
    operation = _register(collection)
    told = {"key": {"type": "string", "description": "Told here and never again; absent in the answer to a retry."}}
    schema = {"allOf": [_ref(_entity_name(collection.kind)), {"type": "object", "properties": told}]}
    example = _example(collection.kind) | {"key": EXAMPLE_KEY}
    operation["responses"]["201"] |= _content(schema, example)
    return operation


def _change(collection: Collection) -> Node:
    schema = {"type": "object", "description": f"Some of the terms of {_one_of(collection)}; null takes one away."}
    return _operation(
        collection,
        "Change",
        f"Change {_one_of(collection)}",
        "A JSON Merge Patch (RFC 7396) of its terms. A list is replaced as a whole; null restores the default.",
        parameters=[_ID, _IF_MATCH, _IDEMPOTENCY_KEY],
        requestBody=_body(schema, CHANGES[collection.kind], MERGE_PATCH, JSON),
        responses={"200": _changed(collection, "Logged, or nothing to change.")},
    )


def _move(collection: Collection, move: str) -> Node:
    return _operation(
        collection,
        move.capitalize(),
        _SUMMARIES[move].format(_one_of(collection)),
        _MOVE_MEANINGS[move],
        parameters=[_ID, _IF_MATCH, _IDEMPOTENCY_KEY],
        responses={"200": _changed(collection, "Logged, or it was so already.")},
    )


def _operation(collection: Collection, verb: str, summary: str, description: str, **rest: Any) -> Node:
    return {
        "tags": ["Access" if collection.is_issued else "Catalogue"],
        "operationId": f"{verb}{_terms_name(_FORMS[collection.kind])}",
        "summary": summary,
        "description": description,
        **rest,
    }


def _one_of(collection: Collection) -> str:
    return f"{'an' if collection.singular[0] in 'aeiou' else 'a'} {collection.singular}"


def _changed(collection: Collection, description: str) -> Node:
    answer = _content(_ref(_entity_name(collection.kind)), _example(collection.kind))
    return answer | {"description": description, "headers": _CHANGED_HEADERS}


def _example(kind: EntityKind) -> Node:
    """What the example terms are answered with."""
    form = _FORMS[kind]
    stated = form.registration(msgspec.json.encode(TERMS[kind]))
    document = {"id": stated.id or EXAMPLE_ID[kind], "version": 1, "status": "active"}
    return document | form.as_stated(stated.terms)


def _body(schema: Node, example: Node, *media_types: str) -> Node:
    content = {media_type: {"schema": schema, "example": example} for media_type in media_types}
    return {"required": True, "content": content}


def _content(schema: Node, example: Node) -> Node:
    return {"content": {JSON: {"schema": schema, "example": example}}}


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}
