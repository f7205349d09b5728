"""`POST /v1/dead-letters/{id}/retry` and `/skip`: an operator tries an event again, or decides that it never counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, post
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, QueryParameter

from api.access import caller_of
from api.json_body import JSON, json_body
from api.read.dead_letters import id_of
from api.services import Services
from domain.errors import Fault, InvalidInput
from projections.dead_letters import Tried

OfProjection = Annotated[str, QueryParameter(name="projection", description="Whose letters are tried.")]


class Skip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a skip states."""

    reason: str
    """A sentence, kept with the letter."""


@dataclass
class SkipOperation(Operation):
    """Says what the body is: its faults are told as all others are."""

    def __post_init__(self) -> None:
        reason = Schema(type=OpenAPIType.STRING, min_length=1)
        schema = Schema(type=OpenAPIType.OBJECT, required=["reason"], properties={"reason": reason})
        content = OpenAPIMediaType(schema=schema, example={"reason": "Written by a faulty release; nothing was sold."})
        self.request_body = RequestBody(content={JSON: content}, required=True)


@post("/dead-letters/retry", tags=["Operations"], summary="Try all letters of a projection again", status_code=200)
async def retry_dead_letters(
    request: Request[Any, Any, Any], services: Services, of_projection: OfProjection
) -> Response[Tried]:
    """Key by key, each in the order of the log until one cannot be applied still."""
    return Response(await services.dead_letters.retry_all(of_projection, by=caller_of(request).name))


@post("/dead-letters/{letter_id:str}/retry", tags=["Operations"], summary="Try a letter again", status_code=200)
async def retry_dead_letter(
    request: Request[Any, Any, Any], services: Services, letter_id: FromPath[str]
) -> Response[Tried]:
    """With all letters of its key: the first one first, those that wait behind it after it.

    In every generation of the projection that is kept up to date, whichever of them has this letter.

    One that was applied meanwhile is none any more, and asking again changes nothing.

    One of `ledger` is booked where the log has it: a day that was closed meanwhile changes by it, as a rebuild would
    have it. A closing behind which something may be booked already is refused: rebuild `ledger` then.
    """
    return Response(await services.dead_letters.retry(id_of(letter_id), by=caller_of(request).name))


@post(
    "/dead-letters/{letter_id:str}/skip",
    tags=["Operations"],
    summary="Decide that an event has no effect",
    status_code=200,
    operation_class=SkipOperation,
)
async def skip_dead_letter(
    request: Request[Any, Any, Any], services: Services, letter_id: FromPath[str]
) -> Response[Tried]:
    """In every generation of this projection, now and in all that is built of it later.

    Those that waited behind it are tried then.

    Reason, time and whose key it was are kept with the letter.
    409 for one that was applied before, or skipped for another reason.
    """
    skip = _skip(await json_body(request))
    caller = caller_of(request).name
    return Response(await services.dead_letters.skip(id_of(letter_id), reason=skip.reason, by=caller))


def _skip(body: bytes) -> Skip:
    try:
        return msgspec.json.decode(body, type=Skip)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message, _, path = str(error).partition(" - at `$")
        raise InvalidInput([Fault(path.strip(".`"), message)]) from None
