"""`POST /openrtb2/auction`: one bid request in, one answer out, everything that happened in between logged."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from litestar import asgi
from litestar.types import HTTPScope, Receive, Send

from api.position_token import raw_token_header
from api.problems import ProblemRaised
from api.raw_http import (
    WORTH_COMPRESSING_BYTES,
    ClientLeft,
    accepts_gzip,
    check_json_post,
    gzip,
    read_body,
    respond,
    respond_problem,
)
from domain.errors import Fault, GavelError, InvalidInput, Overloaded, RateLimited
from domain.limits import REQUEST_BODY_MAX_BYTES

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler

    from api.services import ApiServices
    from commands.hold_auction import AuctionResult

OPENRTB_VERSION = (b"x-openrtb-version", b"2.6")
OPENRTB_MAJOR = b"2"
VERSION_SHOWN_CHARS = 16
JSON = (b"content-type", b"application/json")
VARIES = (b"vary", b"accept-encoding")


def bid_requests(services: ApiServices) -> ASGIRouteHandler:
    """The route, below the framework: see docs/decisions for what that saves."""

    @asgi("/openrtb2/auction", copy_scope=False, name="hold_auction")
    async def hold_auction(scope: HTTPScope, receive: Receive, send: Send) -> None:
        clock = asyncio.get_running_loop().time
        arrived = clock()
        headers = dict(scope["headers"])
        try:
            services.auction_rates.check(services.client_addresses.of(scope), arrived)
            check_json_post(scope["method"], headers)
            _check_version(headers.get(b"x-openrtb-version", b""))
            body = await read_body(headers, receive, REQUEST_BODY_MAX_BYTES)
            result = await services.hold_auction(body, received_at_monotonic=arrived)
        except ClientLeft:
            return
        except (GavelError, ProblemRaised) as error:
            services.metrics.auction(_result_of(error), clock() - arrived)
            await respond_problem(send, error)
            return
        except Exception:
            services.metrics.auction("failed", clock() - arrived)
            raise
        services.metrics.auction("awarded" if "won" in result.outcomes else "no_bid", clock() - arrived)
        services.metrics.outcomes(result.outcomes)
        await _answer(send, result, compress=accepts_gzip(headers))

    return hold_auction


def _check_version(version: bytes) -> None:
    """Every 2.x is understood; 3.x is another protocol, and what is no version says nothing."""
    major = version.strip().partition(b".")[0]
    if major.isdigit() and major != OPENRTB_MAJOR:
        told = version.strip()[:VERSION_SHOWN_CHARS].decode("latin-1")
        raise InvalidInput([Fault("x-openrtb-version", f"this exchange speaks 2.x, not {told}")])


def _result_of(error: Exception) -> str:
    if isinstance(error, InvalidInput | ProblemRaised):
        return "invalid"
    return "overloaded" if isinstance(error, Overloaded | RateLimited) else "unavailable"


async def _answer(send: Send, result: AuctionResult, *, compress: bool) -> None:
    headers = [(b"gavel-auction", result.auction_id.encode()), OPENRTB_VERSION]
    if result.logged_at is not None:
        headers += raw_token_header(result.logged_at)
    body = result.body
    if body:
        headers += (JSON, VARIES)
        if compress and len(body) >= WORTH_COMPRESSING_BYTES:
            headers.append((b"content-encoding", b"gzip"))
            body = gzip(body)
    await respond(send, result.status, headers, body)
