"""What simulators ask of the exchange's catalogue: is it there already, else register it and wait until it is seen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import msgspec

from gavel.errors import CannotRun
from gavel.settings import Settings, variable
from gavel.simulate.exchange_client import Answer, ExchangeClient

CATALOGUE_WAIT_SECONDS = 8
"""So long something registered may take to be seen in the read model."""

Entity = dict[str, Any]


class CatalogueClient:
    """The `/v1` routes of one exchange, as its admin."""

    def __init__(self, client: ExchangeClient, settings: Settings) -> None:
        """Raises CannotRun without an admin key."""
        if settings.admin_key is None:
            raise CannotRun(
                f"no admin key: name the data folder of a running installation (--data), or set {variable('admin_key')}"
            )
        self._client = client
        self._headers = f"Authorization: Bearer {settings.admin_key}\r\n"

    def __repr__(self) -> str:
        return f"CatalogueClient({self._client!r})"

    async def active(self, kind: str) -> AsyncIterator[Entity]:
        """All active entities of a kind (`bidders`, `deals`, …). Raises CannotRun, ExchangeUnreachable."""
        cursor = ""
        while True:
            answer = await self._client.get(f"/v1/{kind}?limit=100{cursor}", self._headers)
            if answer.status != HTTPStatus.OK:
                raise CannotRun(f"the exchange does not list its {kind}: {_problem(answer)}")
            page = msgspec.json.decode(answer.body, type=Entity)
            for entity in page["items"]:
                if entity["status"] == "active":
                    yield entity
            if not page.get("next_cursor"):
                return
            cursor = f"&cursor={page['next_cursor']}"

    async def register(self, kind: str, terms: Entity) -> Entity:
        """Registers it and waits until the read model shows it. Raises CannotRun, ExchangeUnreachable."""
        what = f"{kind}: {terms.get('name') or terms.get('id') or terms}"
        answer = await self._client.post(f"/v1/{kind}", msgspec.json.encode(terms), self._headers)
        if answer.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise CannotRun(f"the exchange does not register {what}: {_problem(answer)}")
        seen = (
            f"{self._headers}Gavel-Token: {answer.headers['gavel-token']}\r\nPrefer: wait={CATALOGUE_WAIT_SECONDS}\r\n"
        )
        answer = await self._client.get(answer.headers["location"], seen)
        if answer.status != HTTPStatus.OK:
            raise CannotRun(f"{what} is registered but not to be seen: {_problem(answer)}")
        return msgspec.json.decode(answer.body, type=Entity)


def _problem(answer: Answer) -> str:
    """What the exchange says is wrong, as one line."""
    try:
        problem = msgspec.json.decode(answer.body, type=Entity)
    except msgspec.DecodeError:
        return f"HTTP {answer.status}"
    return f"HTTP {answer.status}, {problem.get('detail') or problem.get('title')}"
