"""`GET /v1/feeds`: the feed clients there are, what each has, and what its last load came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from litestar import Request, Response, get

from api.feed_backlog import PROJECTIONS as CONSUMERS
from api.read.feed_runs import RunShown, run_shown
from api.read.paging import LIMIT_DEFAULT, Cursor, Limit, next_link
from api.read.waiting import read_model
from api.services import ApiServices, Services
from domain.catalogue import Status
from projections.queries import progress
from projections.queries.feed_audit import Topic
from projections.queries.feed_clients import FeedClientListed, list_feed_clients
from projections.queries.feed_completeness import Reached
from projections.queries.feed_states import FeedState, feed_states

PROJECTION: Final = "catalogue"


class FeedShown(msgspec.Struct, frozen=True, kw_only=True):
    """A feed client and its records."""

    id: str
    name: str
    status: Status
    records: int
    """Never fewer than a look-up finds; until it is tidied also what something later stands over or has expired."""
    complete: bool
    """False while Redis has lost some of them and reads them from the log again: then look-ups are refused."""
    last_load: RunShown | None
    """The one that was begun last, as `GET /v1/feeds/{client}/runs/{run_id}` shows it."""
    loaded_at: datetime | None
    """When the last that the audit has of its loads was sent: a record, or the decision about a load."""


class FeedTopic(msgspec.Struct, frozen=True, kw_only=True):
    """How far its consumer is, as `GET /v1/projections` tells it."""

    status: progress.Status
    lag: int | None
    """Records that are logged and not applied; null when that is not known."""
    lag_seconds: float | None
    """How long ago the first of them was logged; null when that is not known."""


class FeedsShown(msgspec.Struct, frozen=True, kw_only=True):
    """A page of them."""

    topics: Mapping[Topic, FeedTopic]
    items: tuple[FeedShown, ...]
    next_cursor: str | None


@get(
    "/feeds",
    tags=["Feeds"],
    operation_id="ListFeeds",
    summary="Every feed client, what it has and what its last load came to",
)
async def list_feeds(
    request: Request[Any, Any, Any], services: Services, *, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Response[FeedsShown]:
    """In the order of their names, archived ones included; and how far the two topics are applied.

    However many are on a page, Redis and Postgres are asked a fixed number of questions. What became of all records
    of a client, its audit tells.
    """
    async with read_model(PROJECTION, request, services) as freshness:
        page = await list_feed_clients(services.database, cursor=cursor, limit=limit)
        items = await _shown(page.items, services)
        topics = _topics(await services.progress.lately())
    headers = freshness.headers | next_link(request, page.next_cursor)
    return Response(FeedsShown(topics=topics, items=items, next_cursor=page.next_cursor), headers=headers)


async def _shown(listed: Sequence[FeedClientListed], services: ApiServices) -> tuple[FeedShown, ...]:
    ids = [each.id for each in listed]
    states = await feed_states(services.redis, services.names, ids)
    positions = {client: state.positions for client, state in zip(ids, states, strict=True)}
    lacking = await services.feed_completeness.lacking(positions)
    reached = await services.feed_completeness.reached(ids)
    return tuple(
        _one(each, state, reached[each.id] or {}, complete=each.id not in lacking)
        for each, state in zip(listed, states, strict=True)
    )


def _one(client: FeedClientListed, state: FeedState, reached: Mapping[str, Reached], *, complete: bool) -> FeedShown:
    loads = reached.get("bulk")
    return FeedShown(
        id=client.id,
        name=client.name,
        status=client.status,
        records=state.records,
        complete=complete,
        last_load=None if state.latest is None else run_shown(*state.latest),
        loaded_at=None if loads is None else loads.at,
    )


def _topics(statuses: Sequence[progress.ProjectionStatus]) -> dict[Topic, FeedTopic]:
    by_name = {each.name: each for each in statuses}
    consumers = {topic: by_name[name] for topic, name in CONSUMERS.items()}
    return {
        topic: FeedTopic(status=each.status, lag=each.lag, lag_seconds=each.lag_seconds)
        for topic, each in consumers.items()
    }
