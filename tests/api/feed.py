"""One feed client's feed over HTTP, as tests send to it and read from it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec

from tests.api.running_api import RunningApi, until
from tests.api.tenants import Key
from tests.api.test_catalogue import Answer, ask, registered

NDJSON = "application/x-ndjson"


class Feed:
    """One client's feed, asked for by the operator unless a key is given."""

    def __init__(self, api: RunningApi, name: str, client: str) -> None:
        self.api, self.name, self.client = api, name, client
        self.path = f"/v1/feeds/{quote(name, safe='')}"

    async def send(self, what: str, body: Any, key: Key | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = self.api.authorized | {"Content-Type": NDJSON} | named
        if key is not None:
            sent["Authorization"] = f"Bearer {key.secret}"
        async with self.api.http.post(f"{self.path}/{what}", data=body, headers=sent) as response:
            return Answer(response.status, msgspec.json.decode(await response.read()), response.headers)

    async def load(self, lines: Iterable[Any], query: str = "", **headers: str) -> dict[str, Any]:
        """Sent and decided; the run as it is shown then."""
        answer = await self.send(f"bulk{query}", ndjson(lines), **headers)
        assert answer.status == 202, answer.body
        return await self.decided(answer.body["run_id"])

    async def decided(self, run_id: str) -> dict[str, Any]:
        run: dict[str, Any] = {}

        async def is_decided() -> bool:
            nonlocal run
            run = (await ask(self.api, "GET", f"{self.path}/runs/{run_id}")).body
            return run.get("status") in {"published", "failed", "superseded"}

        await until(is_decided, seconds=60)
        return run

    async def change(self, *changes: Any) -> Answer:
        answer = await self.send("changes", ndjson(changes))
        assert answer.status == 202, answer.body
        return answer

    async def record(self, key: str, after: Answer | None = None) -> Any:
        """Its value; None where there is none."""
        waiting = {} if after is None else {"Gavel_Token": after.headers["Gavel-Token"], "Prefer": "wait=20"}
        answer = await ask(self.api, "GET", f"{self.path}/records/{quote(key, safe='')}", **waiting)
        assert answer.status in {200, 404}, answer.body
        return answer.body["value"] if answer.status == 200 else None


def ndjson(lines: Iterable[Any]) -> bytes:
    return b"".join(line if isinstance(line, bytes) else msgspec.json.encode(line) + b"\n" for line in lines)


def record(key: str, **value: Any) -> dict[str, Any]:
    return {"key": key, "value": value}


async def fresh_feed(api: RunningApi, **terms: Any) -> Feed:
    name = f"data co {uuid.uuid4()}"
    entity = await registered(api, "feed-clients", {"name": name, **terms})
    return Feed(api, name, entity["id"])
