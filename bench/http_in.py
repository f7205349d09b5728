"""An application that takes a bid request in two ways and does nothing with it: what HTTP in costs.

`/raw` is how Gavel's hot routes take it, below the framework; `/typed` is a handler of the usual kind.
"""

from __future__ import annotations

from litestar import Litestar, asgi, post
from litestar.types import HTTPScope, Receive, Send

from api.raw_http import read_body, respond
from bench.peers.plain_auction import BidRequest
from domain.limits import REQUEST_BODY_MAX_BYTES

JSON = (b"content-type", b"application/json")


@asgi("/raw", copy_scope=False)
async def raw(scope: HTTPScope, receive: Receive, send: Send) -> None:
    await read_body(dict(scope["headers"]), receive, REQUEST_BODY_MAX_BYTES)
    await respond(send, 200, [JSON], b'{"id":"1"}')


@post("/typed", status_code=200)
async def typed(data: BidRequest) -> dict[str, str]:
    return {"id": data.id}


app = Litestar([raw, typed], openapi_config=None, logging_config=None)
