"""`POST /v1/bidders`: a bidder takes part from the moment that its registration is logged and projected."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, post

from api.bidder_entity import BidderEntity, bidder_entity
from api.json_body import json_body
from api.position_token import HEADER, token_of
from api.services import Services


@post("/bidders", tags=["Catalogue"], summary="Register a bidder")
async def register_bidder(request: Request[Any, Any, Any], services: Services) -> Response[BidderEntity]:
    """An external DSP that Gavel asks for bids over HTTP. `Gavel-Token` lets a query wait to see it."""
    registered, position = await services.register_bidder(await json_body(request))
    entity = bidder_entity(registered.id, registered.version, registered.status, registered.terms)
    headers = {"Location": f"/v1/bidders/{entity.id}", "ETag": entity.etag, HEADER: token_of(position)}
    return Response(entity, status_code=201, headers=headers)
