"""`POST /v1/access-keys`: the one moment in which a key is told."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, post

from api.catalogue_entity import COLLECTIONS
from api.json_body import json_body
from api.services import Services
from api.write.catalogue import answered
from commands.access_keys import fresh_key
from commands.change_catalogue import Changed
from domain.access import digest_of

[ACCESS_KEYS] = (each for each in COLLECTIONS if each.kind == "access_key")


@post(f"/{ACCESS_KEYS.path}", name="issue access_key", include_in_schema=False)
async def issue_access_key(request: Request[Any, Any, Any], services: Services) -> Response[bytes]:
    """A retry with the same `Idempotency-Key` makes no second key, and is not told the first one: nobody keeps it."""
    body = await json_body(request)
    key = fresh_key()
    issued = False

    async def run(command_id: str) -> Changed:
        nonlocal issued
        changed, issued = await services.change_catalogue.issue_key(body, digest_of(key), command_id=command_id)
        return changed

    response = await answered(request, services, ACCESS_KEYS, body, run)
    if issued:
        entity = msgspec.json.decode(response.content, type=dict[str, Any])
        response.content = msgspec.json.encode({**entity, "key": key})
    return response
