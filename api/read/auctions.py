"""`GET /v1/auctions` and `/v1/auctions/{id}`: what happened, and why."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import FromPath, QueryParameter

from api.access import caller_of
from api.read.paging import LIMIT_DEFAULT, Cursor, Limit, next_link
from api.read.waiting import read_model
from api.services import Services
from domain.errors import NotFound
from projections.queries import auctions as queries
from projections.queries.auction_story import auction_story
from projections.queries.page import Page
from projections.queries.story_parts import AuctionStory

PROJECTION = "auction_log"

Status = Annotated[str | None, QueryParameter(description="`awarded` or `unsold`.")]
BidderId = Annotated[str | None, QueryParameter(name="bidder", description="Auctions that considered this bidder.")]
Site = Annotated[str | None, QueryParameter(description="Domain of the site, or bundle of the app.")]


@get("/auctions", tags=["Auctions"], summary="The last auctions")
async def list_auctions(
    *,
    request: Request[Any, Any, Any],
    services: Services,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
    status: Status = None,
    bidder_id: BidderId = None,
    site: Site = None,
) -> Response[Page[queries.AuctionSummary]]:
    """Newest first. A page may be short although more follow: only `Link` and `next_cursor` tell.

    A publisher gets those of its own inventory.
    """
    async with read_model(PROJECTION, request, services) as freshness:
        page = await queries.list_auctions(
            services.database,
            cursor=cursor,
            limit=limit,
            status=status,
            bidder_id=bidder_id,
            site=site,
            publisher_id=caller_of(request).subject_id,
        )
    return Response(page, headers=freshness.headers | next_link(request, page.next_cursor))


@get("/auctions/{auction_id:str}", tags=["Auctions"], summary="One auction's whole story")
async def show_auction(
    request: Request[Any, Any, Any], services: Services, auction_id: FromPath[str]
) -> Response[AuctionStory]:
    """The request, every bidder's outcome and why, the ranking, the price, notices and engagements so far.

    `told` holds the same in sentences. A publisher gets its own imps, and no price but those that it is paid.
    """
    async with read_model(PROJECTION, request, services) as freshness:
        story = await auction_story(services.database, auction_id, publisher_id=caller_of(request).subject_id)
        if story is None:
            raise NotFound(f"There is no auction {auction_id!r} in the read model (yet).")
    return Response(story, headers=freshness.headers)
