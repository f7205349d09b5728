"""`GET /v1/whoami`: what the key that was sent is good for."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get

from api.access import caller_of
from domain.access import Caller


@get("/whoami", tags=["Access"], summary="Whose key this is")
async def whoami(request: Request[Any, Any, Any]) -> Response[Caller]:
    """The role, and for a tenant's key the id of the publisher, advertiser or feed client that it acts for."""
    return Response(caller_of(request), headers={"Cache-Control": "no-store"})
