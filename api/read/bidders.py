"""`GET /v1/bidders` and `/v1/bidders/{id}`."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

from api.bidder_entity import BidderEntity, bidder_entity
from api.read.paging import LIMIT_DEFAULT, Cursor, Limit, next_link
from api.read.waiting import read_model
from api.services import Services
from domain.errors import NotFound
from projections.queries import entities as queries
from projections.queries.page import Page

PROJECTION = "catalogue"


@get("/bidders", tags=["Catalogue"], summary="All bidders")
async def list_bidders(
    request: Request[Any, Any, Any], services: Services, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Response[Page[BidderEntity]]:
    """In the order of their ids, which is the order of their registration; archived ones included."""
    async with read_model(PROJECTION, request, services) as freshness:
        page = await queries.list_bidders(services.database, cursor=cursor, limit=limit)
    shown = Page(items=tuple(_shown(each) for each in page.items), next_cursor=page.next_cursor)
    return Response(shown, headers=freshness.headers | next_link(request, page.next_cursor))


@get("/bidders/{bidder_id:str}", tags=["Catalogue"], summary="One bidder")
async def show_bidder(
    request: Request[Any, Any, Any], services: Services, bidder_id: FromPath[str]
) -> Response[BidderEntity]:
    """Its `ETag` is the version that a change must name."""
    async with read_model(PROJECTION, request, services) as freshness:
        found = await queries.bidder(services.database, bidder_id)
    if found is None:
        raise NotFound(f"There is no bidder {bidder_id!r} in the read model (yet).")
    entity = _shown(found)
    return Response(entity, headers=freshness.headers | {"ETag": entity.etag})


def _shown(found: queries.RegisteredBidder) -> BidderEntity:
    return bidder_entity(found.id, found.version, found.status, found.terms)
