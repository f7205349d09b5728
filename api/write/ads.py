"""`GET /ad`: an ad for a stored placement, as JSON or as the page inside its frame; `GET /ad.js`: the tag for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from litestar import Response, asgi, get
from litestar.types import HTTPScope, Receive, Send

from api.position_token import raw_token_header
from api.problems import problem_of
from api.raw_http import WORTH_COMPRESSING_BYTES, Headers, accepts_gzip, gzip, not_allowed, respond, respond_problem
from api.write.ad_query import AdQuery, ad_query
from domain.ad_page import CONTENT_SECURITY_POLICY, ad_page
from domain.errors import GavelError, InvalidInput, NotFound, Overloaded, RateLimited, Unavailable

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler, HTTPRouteHandler

    from api.services import ApiServices
    from commands.show_ad import AdResult

TAG = Path(__file__).parent / "ad.js"
BLANK_PAGE = b"<!doctype html><title>Advertisement</title>"
TAG_HEADERS = {
    "Cache-Control": "public, max-age=300",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_SHARED_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"vary", b"accept-encoding"),
    # An ad is for whoever asks: pages fetch it from their own scripts.
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"gavel-auction, gavel-token"),
    (b"x-content-type-options", b"nosniff"),
)
_HTML_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-robots-tag", b"noindex"),
)
_JSON_HEADERS = ((b"content-type", b"application/json"),)
_encode = msgspec.json.Encoder().encode


def ads(services: ApiServices) -> ASGIRouteHandler:
    """The route of the ad, below the framework."""

    @asgi("/ad", copy_scope=False, name="show_ad")
    async def show_ad(scope: HTTPScope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
        if scope["method"] != "GET":
            await respond_problem(send, not_allowed(scope["method"], "GET"))
            return
        clock = asyncio.get_running_loop().time
        arrived = clock()
        headers = dict(scope["headers"])
        try:
            query = ad_query(scope["query_string"], headers, ip=services.client_addresses.of(scope))
            shown = await services.show_ad(query.asked, received_at_monotonic=arrived)
        except GavelError as error:
            services.metrics.auction(_result_of(error), clock() - arrived)
            await _refuse(send, error, scope["query_string"])
            return
        except Exception:
            services.metrics.auction("failed", clock() - arrived)
            raise
        outcomes = shown.auction.outcomes
        services.metrics.auction("awarded" if "won" in outcomes else "no_bid", clock() - arrived)
        services.metrics.outcomes(outcomes)
        await _answer(send, query, shown, headers)

    return show_ad


def ad_tag() -> HTTPRouteHandler:
    """The route of the tag; the file is read once, here."""
    tag = TAG.read_bytes()

    @get("/ad.js", include_in_schema=False)
    async def show_tag() -> Response[bytes]:
        return Response(tag, media_type="text/javascript; charset=utf-8", headers=TAG_HEADERS)

    return show_tag


def _result_of(error: Exception) -> str:
    if isinstance(error, InvalidInput | NotFound):
        return "invalid"
    return "overloaded" if isinstance(error, Overloaded | RateLimited) else "unavailable"


async def _refuse(send: Send, error: GavelError, query: bytes) -> None:
    """The problem; in a frame nothing of one that passes by itself, for viewers would look at it."""
    if isinstance(error, Unavailable | RateLimited) and b"format=html" in query:
        problem = problem_of(error)
        headers = [(b"retry-after", problem.headers["Retry-After"].encode()), (b"cache-control", b"no-store")]
        await respond(send, problem.status, [*headers, *_HTML_HEADERS], BLANK_PAGE)
    else:
        await respond_problem(send, error)


async def _answer(send: Send, query: AdQuery, shown: AdResult, asked_with: Headers) -> None:
    headers = [(b"gavel-auction", shown.auction.auction_id.encode()), *_SHARED_HEADERS]
    if shown.auction.logged_at is not None:
        headers += raw_token_header(shown.auction.logged_at)
    if shown.ad is None:
        await respond(send, 204, headers)
        return
    if query.wants_html:
        headers += _HTML_HEADERS
        body = ad_page(shown.ad).encode()
    else:
        headers += _JSON_HEADERS
        body = _encode(shown.ad)
    if len(body) >= WORTH_COMPRESSING_BYTES and accepts_gzip(asked_with):
        headers.append((b"content-encoding", b"gzip"))
        body = gzip(body)
    await respond(send, 200, headers, body)
