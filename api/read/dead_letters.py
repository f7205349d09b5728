"""`GET /v1/dead-letters` and `/v1/dead-letters/{id}`: what could not be applied, and why."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import FromPath, QueryParameter

from api.read.paging import LIMIT_DEFAULT, Cursor, Limit, next_link
from api.read.waiting import database_errors
from api.services import Services
from domain.errors import NotFound
from projections.queries import dead_letters as queries
from projections.queries.page import Page

NO_STORE = {"Cache-Control": "no-store"}

OfProjection = Annotated[str | None, QueryParameter(name="projection", description="Of this projection alone.")]
Ended = Annotated[bool, QueryParameter(description="Those as well that were applied later, or skipped.")]
WithPayload = Annotated[bool, QueryParameter(name="payload", description="With what the record holds.")]


@get("/dead-letters", tags=["Operations"], summary="Events that a projection could not apply")
async def list_dead_letters(
    *,
    request: Request[Any, Any, Any],
    services: Services,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
    of_projection: OfProjection = None,
    ended: Ended = False,
) -> Response[Page[queries.DeadLetterShown]]:
    """In the order in which they were parked, those that wait behind another one of their key too. No payloads."""
    with database_errors():
        page = await queries.list_dead_letters(
            services.database, projection=of_projection, ended=ended, cursor=cursor, limit=limit
        )
    return Response(page, headers=NO_STORE | next_link(request, page.next_cursor))


@get("/dead-letters/{letter_id:str}", tags=["Operations"], summary="One dead letter")
async def show_dead_letter(
    services: Services, letter_id: FromPath[str], with_payload: WithPayload = False
) -> Response[queries.DeadLetterShown]:
    """Where it stands in the log, why it was parked, and what was decided about it.

    The payload is what the log has, and is shown only if it is asked for.
    """
    with database_errors():
        letter = await queries.dead_letter(services.database, id_of(letter_id), with_payload=with_payload)
    if letter is None:
        raise NotFound(f"there is no dead letter {letter_id}")
    return Response(letter, headers=NO_STORE)


def id_of(text: str) -> int:
    """The id in a path. Raises NotFound for one that no letter can have."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(queries.ID_MAX)):
        raise NotFound(f"there is no dead letter {text!r}")
    return int(text)
