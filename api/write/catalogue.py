"""The commands of the catalogue: an entity takes part from the moment that its registration is logged and projected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from api.access import tenant_of
from api.catalogue_entity import COLLECTIONS, Collection, etag, location, shown
from api.json_body import MERGE_PATCH, json_body
from api.position_token import token_header, token_of
from api.services import ApiServices, Services
from api.write.preconditions import IF_MATCH, expected_versions, idempotency_key
from commands.catalogue_head import Made
from commands.change_catalogue import Changed
from domain.catalogue import Status

MOVES: dict[str, Status] = {"pause": "paused", "resume": "active", "archive": "archived"}

Run = Callable[[str], Awaitable[Changed]]
"""Carries out a command under the id that it is given."""


class CarriedOut(msgspec.Struct):
    """What is kept of a command for its retries."""

    made: Made
    is_new: bool


_encode = msgspec.json.Encoder().encode
_carried_out = msgspec.json.Decoder(CarriedOut).decode


def catalogue_commands() -> Iterator[HTTPRouteHandler]:
    """The routes of all kinds, below `/v1`."""
    for collection in COLLECTIONS:
        if not collection.is_issued:
            yield _register(collection)
        if collection.has_status and not collection.is_issued:
            yield _change(collection)
        if collection.has_status:
            for name, status in MOVES.items():
                yield _move(collection, name, status)


def _register(collection: Collection) -> HTTPRouteHandler:
    @post(f"/{collection.path}", name=f"register {collection.kind}", include_in_schema=False)
    async def register(request: Request[Any, Any, Any], services: Services) -> Response[bytes]:
        body = await json_body(request)
        change = services.change_catalogue

        async def run(command_id: str) -> Changed:
            if collection.kind == "currency_rate":
                return await change.set_rate(body, command_id=command_id)
            return await change.register(collection.kind, body, command_id=command_id, tenant=tenant_of(request))

        return await answered(request, services, collection, body, run)

    return register


def _change(collection: Collection) -> HTTPRouteHandler:
    @patch(f"/{collection.path}/{{entity_id:str}}", name=f"change {collection.kind}", include_in_schema=False)
    async def change(request: Request[Any, Any, Any], services: Services, entity_id: FromPath[str]) -> Response[bytes]:
        body = await json_body(request, MERGE_PATCH)
        expected = expected_versions(request)

        async def run(command_id: str) -> Changed:
            return await services.change_catalogue.change(
                collection.kind,
                entity_id,
                body,
                expected=expected,
                command_id=command_id,
                tenant=tenant_of(request),
            )

        return await answered(request, services, collection, body, run)

    return change


def _move(collection: Collection, name: str, status: Status) -> HTTPRouteHandler:
    path = f"/{collection.path}/{{entity_id:str}}/{name}"

    @post(path, name=f"{name} {collection.kind}", include_in_schema=False)
    async def move(request: Request[Any, Any, Any], services: Services, entity_id: FromPath[str]) -> Response[bytes]:
        expected = expected_versions(request)

        async def run(command_id: str) -> Changed:
            return await services.change_catalogue.move(
                collection.kind,
                entity_id,
                status,
                expected=expected,
                command_id=command_id,
                tenant=tenant_of(request),
            )

        return await answered(request, services, collection, b"", run)

    return move


async def answered(
    request: Request[Any, Any, Any], services: ApiServices, collection: Collection, body: bytes, run: Run
) -> Response[bytes]:
    """Carries the command out, once if it has an `Idempotency-Key`: every tenant has its own."""
    changed: Changed | None = None

    async def carry_out(command_id: str) -> bytes:
        nonlocal changed
        changed = await run(command_id)
        return _encode(CarriedOut(changed.made, changed.is_new))

    key = idempotency_key(request)
    tenant = tenant_of(request)
    if key is not None and tenant is not None:
        key = f"{tenant.role} {tenant.subject_id} {key}"
    sent = _encode([request.method, request.url.path, request.headers.getall(IF_MATCH, [])]) + body
    kept = _carried_out(await services.once(key, sent, carry_out))
    if changed is None:
        changed = await services.change_catalogue.as_made(kept.made, is_new=kept.is_new)
    return _answer(services, collection, changed)


def _answer(services: ApiServices, collection: Collection, changed: Changed) -> Response[bytes]:
    entity = changed.entity
    # A key that is revoked here is refused here from this moment on; other processes hear of it in a moment.
    services.access_keys.learn([entity])
    token = token_header(token_of(changed.made.position))
    headers = {"Location": location(collection, entity), "ETag": etag(entity)} | token
    body = _encode(shown(entity, services.change_catalogue.form(collection.kind)))
    return Response(body, status_code=201 if changed.is_new else 200, headers=headers, media_type=MediaType.JSON)
