"""Read your writes: a query waits for its read model to reach `Gavel-Token`, or says how far behind it may be."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from api.position_token import HEADER, position_of
from api.problems import ProblemRaised
from domain.errors import Fault, InvalidInput, Unavailable
from projections.queries import progress
from projections.queries.generations import is_of_this_version
from projections.registry import registered

if TYPE_CHECKING:
    from litestar import Request

    from api.services import ApiServices

WAIT_MAX_S = 30
LAG_TIMEOUT_S = 0.25
"""A query that could be answered does not wait long for Kafka to say how far the log reaches."""

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)


class Freshness(msgspec.Struct, frozen=True):
    """How new an answer is."""

    lag: int | None
    """Events that are logged and not applied; None when Kafka does not say."""
    headers: dict[str, str]


@asynccontextmanager
async def read_model(
    projection: str, request: Request[Any, Any, Any], services: ApiServices
) -> AsyncIterator[Freshness]:
    """Within it the read model of `projection` may be queried.

    With `Gavel-Token` and `Prefer: wait=N` it is entered once the projection has applied the event that the token
    names; raises ProblemRaised (503) if that takes longer, or if it is being built for this version of the code.
    """
    with database_errors():
        if not await is_of_this_version(services.database, projection):
            raise ProblemRaised("being-built", f"{projection} is being built for this version of Gavel: try again soon")
        applied = await _wait(projection, request, services)
        lag = await _lag(projection, services)
        headers = {"Cache-Control": "no-store", "Gavel-Lag": "unknown" if lag is None else str(lag)} | applied
        yield Freshness(lag, headers)


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


async def _wait(projection: str, request: Request[Any, Any, Any], services: ApiServices) -> dict[str, str]:
    """Response headers that say what was waited for."""
    token = request.headers.get(HEADER)
    position = position_of(token) if token is not None else None
    wanted_s = _wanted_wait_s(request)
    if position is None or wanted_s is None:
        return {}
    if position.topic not in services.names.topics:
        raise InvalidInput([Fault(HEADER, f"{position.topic!r} is not a topic of this exchange")])
    if position.topic not in registered(projection).topics_of(services.names):
        # What this read model does not read cannot be missing from it.
        return {}
    wait_s = min(wanted_s, WAIT_MAX_S)
    if not await progress.wait_for(services.database, projection, position, wait_s):
        raise ProblemRaised(
            "not-yet",
            f"{projection} did not reach {token} within {wait_s} s",
            headers={"Preference-Applied": f"wait={wait_s}"},
        )
    return {"Preference-Applied": f"wait={wait_s}"}


async def _lag(projection: str, services: ApiServices) -> int | None:
    try:
        async with asyncio.timeout(LAG_TIMEOUT_S):
            return await progress.lag(services.database, services.watermarks, projection, names=services.names)
    except TimeoutError:
        return None


def _wanted_wait_s(request: Request[Any, Any, Any]) -> int | None:
    match = _WAIT.search(",".join(request.headers.getall("prefer", [])))
    return int(match[1]) if match else None


def _means_away(error: DBAPIError) -> bool:
    return error.connection_invalidated or isinstance(
        error.orig, OSError | asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError
    )
