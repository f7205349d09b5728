"""`GET /impression?t=TOKEN`: the pixel. It is always the GIF, whatever is decided about counting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import asgi
from litestar.types import HTTPScope, Receive, Send

from api.position_token import raw_token_header
from api.raw_http import not_allowed, respond, respond_problem
from api.write.engagement_token import token_in
from api.write.fetched_ahead import is_fetched_ahead
from domain.errors import Unavailable

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler

    from api.services import ApiServices

GIF = bytes.fromhex("47494638396101000100800100000000ffffff21f90401000001002c00000000010001000002024c01003b")
"""One transparent pixel, 43 bytes."""

HEADERS = (
    (b"content-type", b"image/gif"),
    (b"cache-control", b"no-store, no-cache, must-revalidate, max-age=0"),
    (b"pragma", b"no-cache"),
    (b"expires", b"0"),
)


def impressions(services: ApiServices) -> ASGIRouteHandler:
    """The route, below the framework."""

    @asgi("/impression", copy_scope=False, name="record_impression")
    async def record_impression(scope: HTTPScope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
        if scope["method"] == "HEAD":
            # A look at the headers: nobody saw an ad.
            await respond(send, 200, [*HEADERS], GIF, is_head=True)
            return
        if scope["method"] != "GET":
            await respond_problem(send, not_allowed(scope["method"], "GET, HEAD"))
            return
        headers = dict(scope["headers"])
        try:
            impression = await services.record_engagement.impression(
                token_in(scope["query_string"]),
                ip=services.client_addresses.of(scope),
                user_agent=headers.get(b"user-agent", b"").decode("latin-1"),
                is_ahead=is_fetched_ahead(headers),
            )
        except Unavailable as error:
            services.metrics.engagement("impression", "unavailable")
            await respond_problem(send, error)
            return
        services.metrics.engagement("impression", impression.verdict)
        token = () if impression.logged_at is None else raw_token_header(impression.logged_at)
        await respond(send, 200, [*HEADERS, *token], GIF)

    return record_impression
