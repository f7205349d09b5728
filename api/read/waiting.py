"""Read your writes: a query waits for its read model to reach `Gavel-Token`, or says how far behind it may be."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from api.position_token import HEADER, positions_of
from api.problems import ProblemRaised
from commands.ports import Position
from domain.errors import Fault, InvalidInput, NotFound, Unavailable
from projections.queries.freshness import Whereabouts, lag, wait_for
from projections.queries.generations import is_of_this_version
from projections.queries.versions import what_this_version_waits_for
from projections.registry import registered

if TYPE_CHECKING:
    from litestar import Request

    from api.services import ApiServices

WAIT_MAX_S = 30
LAG_TIMEOUT_S = 0.25
"""A query that could be answered does not wait long for Kafka to say how far the log reaches."""

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d+)\"?\s*(?=$|[,;])", re.IGNORECASE)


class Freshness(msgspec.Struct, frozen=True):
    """How new an answer is."""

    lag: int | None
    """Events that are logged and not applied; None when Kafka does not say."""
    headers: dict[str, str]


@asynccontextmanager
async def read_model(
    projection: str, request: Request[Any, Any, Any], services: ApiServices, *others: str
) -> AsyncIterator[Freshness]:
    """Within it the read model of `projection` may be queried, and those of the others that the answer is made of.

    With `Gavel-Token` and `Prefer: wait=N` it is entered once they have applied the events that the token names;
    raises ProblemRaised (503) if that takes longer, or if one is being built for this version of the code.
    That something is not there (NotFound inside) is an answer of the read model as well, and says how old it is.
    """
    with database_errors():
        for each in (projection, *others):
            if not await is_of_this_version(services.database, each):
                raise ProblemRaised("being-built", await what_this_version_waits_for(services.database, each))
        whereabouts = Whereabouts(services.database, services.redis, services.names)
        waited = await _wait((projection, *others), request, whereabouts)
        behind = await _lag((projection, *others), whereabouts, services)
        headers = {"Cache-Control": "no-store", "Gavel-Lag": "unknown" if behind is None else str(behind)}
        _as_waited(waited, request, headers)
        try:
            yield Freshness(behind, headers)
        except NotFound as error:
            raise ProblemRaised("not-found", str(error), headers=headers) from error


async def wait_as_asked(
    projections: Sequence[str], request: Request[Any, Any, Any], services: ApiServices
) -> dict[str, str]:
    """Returns once these projections, in Redis, have what `Gavel-Token` names, if it was asked to wait for that.

    Answers headers for the answer. Raises ProblemRaised (503) where it takes longer, InvalidInput, Unavailable.
    """
    headers = {"Cache-Control": "no-store"}
    if HEADER not in request.headers:
        return headers
    waited = await _wait(projections, request, Whereabouts(services.database, services.redis, services.names))
    return _as_waited(waited, request, headers)


@contextmanager
def database_errors() -> Iterator[None]:
    """Raises Unavailable in place of whatever the client library raises when Postgres is away."""
    try:
        yield
    except (OSError, NoConnectionFree, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
        raise Unavailable(f"The read models are away: {error}") from error
    except (DBAPIError, asyncpg.OperatorInterventionError) as error:
        if isinstance(error, DBAPIError) and not _means_away(error):
            raise
        raise Unavailable("The read models are away: Postgres closed the connection.") from error


class _Waited(msgspec.Struct, frozen=True):
    wait_s: int | None = None
    """How long it would have been waited; None where there was nothing to wait for."""
    in_vain_for: str | None = None
    """The projection that did not come that far."""


def _as_waited(waited: _Waited, request: Request[Any, Any, Any], headers: dict[str, str]) -> dict[str, str]:
    """The headers, and how long would have been waited. Raises ProblemRaised where it was in vain."""
    if waited.wait_s is not None:
        headers["Preference-Applied"] = f"wait={waited.wait_s}"
    if waited.in_vain_for is not None:
        told = f"{waited.in_vain_for} did not reach {request.headers[HEADER]} within {waited.wait_s} s"
        raise ProblemRaised("not-yet", told, headers=headers)
    return headers


async def _wait(projections: Sequence[str], request: Request[Any, Any, Any], whereabouts: Whereabouts) -> _Waited:
    """Raises InvalidInput for a token that no command of this exchange has answered with."""
    positions = positions_of(request.headers.getall(HEADER, []))
    wanted_s = _wanted_wait_s(request)
    if wanted_s is None:
        return _Waited()
    if foreign := {each.topic for each in positions} - {*whereabouts.names.topics}:
        raise InvalidInput([Fault(HEADER, f"{each!r} is not a topic of this exchange") for each in sorted(foreign)])
    wait_s = min(wanted_s, WAIT_MAX_S)
    deadline = time.monotonic() + wait_s
    waited = _Waited()
    for projection in projections:
        # What a read model does not read cannot be missing from it.
        own = _of_topics(positions, registered(projection).topics_of(whereabouts.names))
        if own:
            waited = _Waited(wait_s)
            if not await wait_for(whereabouts, projection, own, max(0.0, deadline - time.monotonic())):
                return _Waited(wait_s, projection)
    return waited


def _of_topics(positions: Sequence[Position], topics: Sequence[str]) -> list[Position]:
    return [each for each in positions if each.topic in topics]


async def _lag(projections: Sequence[str], whereabouts: Whereabouts, services: ApiServices) -> int | None:
    """Of all of them together; none of them reads what another one reads."""
    try:
        async with asyncio.timeout(LAG_TIMEOUT_S):
            behind = [await lag(whereabouts, services.watermarks, each) for each in projections]
    except TimeoutError:
        return None
    known = [each for each in behind if each is not None]
    return sum(known) if len(known) == len(behind) else None


def _wanted_wait_s(request: Request[Any, Any, Any]) -> int | None:
    match = _WAIT.search(",".join(request.headers.getall("prefer", [])))
    # Six digits are above every bound, and Python refuses to read the longest numbers.
    return int(match[1].lstrip("0")[:6] or 0) if match else None


def _means_away(error: DBAPIError) -> bool:
    return error.connection_invalidated or isinstance(
        error.orig, OSError | asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError
    )
