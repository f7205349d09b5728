"""`POST /v1/projections/{name}/rebuild`, `/verify`, `/swap`, `/retire`, `/cancel`, `/pause`, `/resume`.

What takes its time is done by the projections' workers, and `GET /v1/projections` tells how far they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath

from api.access import caller_of
from api.json_body import JSON, json_body
from api.services import Services
from domain.errors import Fault, InvalidInput
from projections.generation import NUMBER_MAX, Generation, Status
from projections.rebuild import RebuildOptions

WHERE_TO_LOOK: Final = {"Location": "/v1/projections"}

Asked = TypeVar("Asked", bound=msgspec.Struct)


class OneGeneration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which one is meant."""

    generation: int | None = None


class Swap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which one is meant, and what is accepted."""

    generation: int | None = None
    accept_dead_letters: bool = False


class GenerationShown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A generation as a command has left it."""

    projection: str
    generation: int
    status: Status
    begun_at: datetime
    built_at: datetime | None = None
    activated_at: datetime | None = None
    reason: str | None = None
    """Why it has stopped."""


class Paused(msgspec.Struct, frozen=True):
    """Whether anything is applied."""

    projection: str
    is_paused: bool


def _number(default: str) -> Schema:
    return Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=NUMBER_MAX, description=f"By default {default}.")


_TO_SWAP = _number("the one that was built and waits, or else the one that was read before")


def _flag(description: str, *, default: bool = False) -> Schema:
    return Schema(type=OpenAPIType.BOOLEAN, default=default, description=description)


@dataclass
class _Stated(Operation):
    """Says what the body may be: its faults are told as all others are."""

    properties: dict[str, Schema] = field(default_factory=dict)

    def __post_init__(self) -> None:
        schema = Schema(type=OpenAPIType.OBJECT, properties=dict(self.properties))
        self.request_body = RequestBody(content={JSON: OpenAPIMediaType(schema=schema)}, required=False)


@dataclass
class _RebuildOperation(_Stated):
    properties: dict[str, Schema] = field(
        default_factory=lambda: {
            "swap": _flag("Queries read it once it is built and equals what they read before.", default=True),
            "accept_differences": _flag("They read it although rows differ: what was wrong is to be mended."),
            "accept_dead_letters": _flag("Events that cannot be applied are parked, and do not bar the swap."),
        }
    )


@dataclass
class _VerifyOperation(_Stated):
    properties: dict[str, Schema] = field(default_factory=lambda: {"generation": _TO_SWAP})


@dataclass
class _EndOperation(_Stated):
    properties: dict[str, Schema] = field(default_factory=lambda: {"generation": _number("the newest of these")})


@dataclass
class _SwapOperation(_Stated):
    properties: dict[str, Schema] = field(
        default_factory=lambda: {
            "generation": _TO_SWAP,
            "accept_dead_letters": _flag("Queries read it although it lacks events that could not be applied."),
        }
    )


@post(
    "/projections/{name:str}/rebuild",
    tags=["Operations"],
    summary="Build a projection anew",
    status_code=202,
    operation_class=_RebuildOperation,
)
async def rebuild(
    request: Request[Any, Any, Any], services: Services, name: FromPath[str]
) -> Response[GenerationShown]:
    """Workers replay the log into a generation beside the one that queries read, compare the two, and swap.

    In Redis it is built in place, which empties it first. One that had stopped goes on. 409 where one is being built,
    or was built and waits for a swap, for a projection that is paused or never rebuilt, and for one in Redis with open
    dead letters that nobody accepts.
    """
    options = await _stated(request, RebuildOptions)
    begun = await services.orders.rebuild(name, options, by=caller_of(request).name)
    return _accepted(begun)


@post(
    "/projections/{name:str}/verify",
    tags=["Operations"],
    summary="Compare two generations",
    status_code=202,
    operation_class=_VerifyOperation,
)
async def verify(request: Request[Any, Any, Any], services: Services, name: FromPath[str]) -> Response[GenerationShown]:
    """Workers compare a generation with the active one, row for row, at the same offsets.

    What they find stands in `verification` of the generation. 409 where there is nothing to compare.
    """
    asked = await _generation(request)
    return _accepted(await services.orders.verify(name, asked, by=caller_of(request).name))


@post(
    "/projections/{name:str}/swap",
    tags=["Operations"],
    summary="Let queries read another generation",
    status_code=200,
    operation_class=_SwapOperation,
)
async def swap(request: Request[Any, Any, Any], services: Services, name: FromPath[str]) -> Response[GenerationShown]:
    """From the answer on they do; asked again, it swaps back. Nobody sees a step back.

    409 where there is none, where it is behind the active one, and where it has dead letters that nobody accepts.
    """
    asked = await _stated(request, Swap)
    active = await services.orders.swap(
        name,
        _checked(asked.generation),
        accept_dead_letters=asked.accept_dead_letters,
        by=caller_of(request).name,
    )
    return Response(_shown(active), headers=WHERE_TO_LOOK)


@post(
    "/projections/{name:str}/retire",
    tags=["Operations"],
    summary="Give up a generation that was read before",
    status_code=202,
    operation_class=_EndOperation,
)
async def retire(request: Request[Any, Any, Any], services: Services, name: FromPath[str]) -> Response[GenerationShown]:
    """It cannot be swapped back from now on; workers remove its tables and its consumer group. 409 for all others."""
    asked = await _generation(request)
    return _accepted(await services.orders.retire(name, asked, by=caller_of(request).name))


@post(
    "/projections/{name:str}/cancel",
    tags=["Operations"],
    summary="Give up a generation that is being built",
    status_code=202,
    operation_class=_EndOperation,
)
async def cancel(request: Request[Any, Any, Any], services: Services, name: FromPath[str]) -> Response[GenerationShown]:
    """Or one that is built and waits for a swap; workers remove its tables and consumer group. 409 for all others."""
    asked = await _generation(request)
    return _accepted(await services.orders.cancel(name, asked, by=caller_of(request).name))


@post("/projections/{name:str}/pause", tags=["Operations"], summary="Stop applying events", status_code=200)
async def pause(request: Request[Any, Any, Any], services: Services, name: FromPath[str]) -> Response[Paused]:
    """To all generations of the projection, over restarts, until it is resumed. Queries answer as it stands."""
    await services.orders.pause(name, by=caller_of(request).name)
    return Response(Paused(name, is_paused=True), headers=WHERE_TO_LOOK)


@post("/projections/{name:str}/resume", tags=["Operations"], summary="Go on applying events", status_code=200)
async def resume(request: Request[Any, Any, Any], services: Services, name: FromPath[str]) -> Response[Paused]:
    """Where it was paused, or where it had stopped."""
    await services.orders.resume(name, by=caller_of(request).name)
    return Response(Paused(name, is_paused=False), headers=WHERE_TO_LOOK)


def projection_commands() -> list[HTTPRouteHandler]:
    """All of them."""
    return [rebuild, verify, swap, retire, cancel, pause, resume]


def _accepted(generation: Generation) -> Response[GenerationShown]:
    return Response(_shown(generation), status_code=202, headers=WHERE_TO_LOOK)


def _shown(generation: Generation) -> GenerationShown:
    return GenerationShown(
        projection=generation.projection,
        generation=generation.number,
        status=generation.status,
        begun_at=generation.begun_at,
        built_at=generation.built_at,
        activated_at=generation.activated_at,
        reason=generation.stopped_reason,
    )


async def _generation(request: Request[Any, Any, Any]) -> int | None:
    return _checked((await _stated(request, OneGeneration)).generation)


def _checked(generation: int | None) -> int | None:
    if generation is not None and not 1 <= generation <= NUMBER_MAX:
        raise InvalidInput([Fault("generation", f"{generation} is not the number of a generation")])
    return generation


async def _stated(request: Request[Any, Any, Any], kind: type[Asked]) -> Asked:
    """What the body states; nothing is stated by an empty one. Raises InvalidInput."""
    if not await request.body():
        return kind()
    try:
        return msgspec.json.decode(await json_body(request), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message, _, path = str(error).partition(" - at `$")
        raise InvalidInput([Fault(path.strip(".`"), message)]) from None
