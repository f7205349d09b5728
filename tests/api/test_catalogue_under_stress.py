"""The catalogue's commands when processes race, die, lack a server, or are sent nonsense."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
import msgspec
import pytest

from gavel.settings import Settings
from tests.api.running_api import ADMIN_KEY, RunningApi, api_process, free_port, running_api, until
from tests.api.test_catalogue import ask
from tests.api.test_health import unreachable
from tests.api.test_hostile_parameters import HOSTILE
from tests.commands.topic_content import read_topic

PUBLISHER = {"name": "Daily", "domain": "daily.example", "share_bps": 8_500}
BIDDER = {"name": "Alfa", "endpoint": "http://127.0.0.1:9/bid"}


class OtherProcess(NamedTuple):
    """`gavel api` beside the one that the tests run in."""

    http: aiohttp.ClientSession
    process: asyncio.subprocess.Process

    async def ask(self, method: str, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(method, path, json=body, headers=sent) as response:
            return response.status, msgspec.json.decode(await response.read())


@asynccontextmanager
async def another(settings: Settings) -> AsyncIterator[OtherProcess]:
    port = free_port()
    own = msgspec.structs.replace(settings, port=port, data=settings.data / f"beside-{port}")
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with api_process(own) as process, aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as http:
        yield OtherProcess(http, process)


@pytest.fixture(scope="module")
async def pair(settings: Settings, empty_api: RunningApi) -> AsyncIterator[list[OtherProcess]]:
    """Two processes of their own on the exchange of the tests, whose topics are there by now."""
    assert empty_api.base_url
    async with another(settings) as first, another(settings) as second:
        yield [first, second]


async def test_of_two_processes_that_patch_at_once_one_wins(pair: list[OtherProcess]) -> None:
    """Both name the version that stands: one gets 200, the other 412, and the winner's terms are the next version."""
    status, entity = await pair[0].ask("POST", "/v1/bidders", BIDDER)
    assert status == 201
    path = f"/v1/bidders/{entity['id']}"
    for version in range(1, 21):
        answers = await asyncio.gather(
            *(
                process.ask("PATCH", path, {"name": f"{version}-{number}"}, If_Match=f'"{version}"')
                for number, process in enumerate(pair)
            )
        )
        assert sorted(status for status, _ in answers) == [200, 412], answers
        [(winner, won)] = [(number, body) for number, (status, body) in enumerate(answers) if status == 200]
        assert (won["version"], won["name"]) == (version + 1, f"{version}-{winner}")


async def test_all_processes_know_of_an_access_key(pair: list[OtherProcess]) -> None:
    """Made at one process, it lets its holder in at the other a moment later, and out again when it is revoked."""
    _, made = await pair[0].ask("POST", "/v1/access-keys", {"name": "Known", "role": "admin"})
    path = f"/v1/access-keys/{made['id']}"

    async def answers(expected: int) -> bool:
        status, _ = await pair[1].ask("GET", "/v1/whoami", None, Authorization=f"Bearer {made['key']}")
        return status == expected

    await until(lambda: answers(200))
    assert (await pair[0].ask("POST", f"{path}/archive", None))[0] == 200
    await until(lambda: answers(401))


async def test_without_a_version_the_slower_one_is_told(pair: list[OtherProcess]) -> None:
    """200 means that the change counted; every other answer is a 409 that says so, and changed nothing."""
    _, entity = await pair[0].ask("POST", "/v1/bidders", BIDDER)
    path = f"/v1/bidders/{entity['id']}"
    statuses: Counter[int] = Counter()
    for number in range(20):
        answers = await asyncio.gather(
            *(process.ask("PATCH", path, {"name": f"{number}-{index}"}) for index, process in enumerate(pair))
        )
        statuses.update(status for status, _ in answers)
    assert statuses.keys() == {200, 409}, "they never raced"
    _, last = await pair[0].ask("POST", f"{path}/pause", {})
    assert last["version"] == 2 + statuses[200]


async def test_of_two_processes_that_want_one_deal_id_one_gets_it(pair: list[OtherProcess]) -> None:
    """The other is told that it is taken."""
    _, bidder = await pair[0].ask("POST", "/v1/bidders", BIDDER)
    for _ in range(10):
        terms = {"id": f"deal-{uuid.uuid4()}", "bidder_ids": [bidder["id"]]}
        answers = await asyncio.gather(*(process.ask("POST", "/v1/deals", terms) for process in pair))
        assert sorted(status for status, _ in answers) == [201, 409], answers


async def test_a_process_is_killed_in_the_middle(settings: Settings, empty_api: RunningApi) -> None:
    """A retry with the same key elsewhere never makes a second entity, wherever the first process was."""
    for delay_ms in (0, 2, 5, 9):
        key, name = uuid.uuid4().hex, uuid.uuid4().hex
        terms = PUBLISHER | {"name": name}
        async with another(settings) as doomed:
            sending = asyncio.create_task(doomed.ask("POST", "/v1/publishers", terms, Idempotency_Key=key))
            await asyncio.sleep(delay_ms / 1000)  # somewhere between the claim and the answer: any moment must do
            doomed.process.send_signal(signal.SIGKILL)
            with suppress(aiohttp.ClientError, ConnectionError):
                await sending
        await let_leases_end(empty_api)
        answer = await ask(empty_api, "POST", "/v1/publishers", terms, Idempotency_Key=key)
        assert answer.status == 201
        assert settings.kafka_url is not None
        content = await read_topic(settings.kafka_url, empty_api.services.names.catalogue)
        made = {each.key for each in content if each.event.get("terms", {}).get("name") == name}
        assert made == {answer.body["id"]}


async def let_leases_end(api: RunningApi) -> None:
    """As time would: what a dead process had begun may be taken over."""
    redis = api.services.redis
    for key in await redis.keys(f"{api.services.names.namespace}:idempotency:*"):
        await redis.hset(key, "leased_until", "0")


async def test_without_kafka_nothing_is_promised(settings: Settings) -> None:
    """A command is refused each time, with or without a key."""
    async with running_api(unreachable(settings, "kafka")) as api:
        for headers in ({}, {"Idempotency_Key": "k"}, {"Idempotency_Key": "k"}):
            answer = await ask(api, "POST", "/v1/publishers", PUBLISHER, **headers)
            assert (answer.status, answer.body["type"]) == (503, "/problems/unavailable")
            assert "Retry-After" in answer.headers


async def test_without_redis_a_key_cannot_be_honoured(settings: Settings) -> None:
    """The command is refused rather than done twice; without a key it is done."""
    async with running_api(unreachable(settings, "redis")) as api:
        refused = await ask(api, "POST", "/v1/publishers", PUBLISHER, Idempotency_Key="k")
        assert (refused.status, refused.body["type"]) == (503, "/problems/unavailable")
        assert "Redis" in refused.body["detail"]
        assert (await ask(api, "POST", "/v1/publishers", PUBLISHER)).status == 201


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
async def test_no_id_and_no_header_breaks_a_command(empty_api: RunningApi, value: bytes) -> None:
    """Whatever stands in the path, in `If-Match` or in the key is a 4xx problem, never a mistake of ours."""
    text = value.decode("utf-8", "replace").replace("\r\n", " ").replace("\x00", " ")
    for method, step in (("PATCH", ""), ("POST", "/pause")):
        path = f"/v1/deals/{quote(value, safe='')}{step}"
        for headers in ({}, {"If_Match": text}, {"Idempotency_Key": text}):
            answer = await ask(empty_api, method, path, {}, **headers)
            assert 400 <= answer.status < 500, (path, answer.body)
            assert answer.body["type"].startswith("/problems/")
