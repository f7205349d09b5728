"""However many ask how far projections are, the servers are asked by one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp
import msgspec
import pytest

from api.projection_metrics import ANSWER_S
from api.shared_progress import SharedProgress
from domain.errors import Unavailable
from gavel.settings import Settings
from projections.queries.progress import ProjectionStatus
from tests.api.running_api import free_port, running_api
from tests.projections.test_progress import saying_nothing


class Looks:
    """Counted; each lasts until it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.at_once = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> Sequence[ProjectionStatus]:
        self.begun += 1
        self.at_once += 1
        assert self.at_once == 1
        await self.may_end.wait()
        self.at_once -= 1
        return []


async def test_many_share_a_look() -> None:
    """Those who ask while a look is taken share the next one, which sees all that was decided before they asked."""
    looks = Looks()
    shared = SharedProgress(looks)
    first = [asyncio.create_task(shared.now()) for _ in range(40)]
    await asyncio.sleep(0.01)
    later = [asyncio.create_task(shared.now()) for _ in range(40)]
    first[0].cancel()
    await asyncio.sleep(0.01)
    assert looks.begun == 1
    looks.may_end.set()
    await asyncio.gather(*first[1:], *later)
    assert looks.begun == 2
    await asyncio.gather(*(shared.lately() for _ in range(40)))
    assert looks.begun == 2
    await shared.now()
    assert looks.begun == 3


async def test_closed_in_the_middle() -> None:
    """Whoever still waits is told that nobody looks any more."""
    shared = SharedProgress(Looks())
    asking = asyncio.create_task(shared.now())
    await asyncio.sleep(0.01)
    await shared.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_what_fails_fails_for_all_who_asked_and_for_nobody_later() -> None:
    """The next one who asks is answered by another look."""
    answers: list[Sequence[ProjectionStatus] | Exception] = [Unavailable("It is away."), []]

    async def look() -> Sequence[ProjectionStatus]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    shared = SharedProgress(look)
    found = await asyncio.gather(shared.lately(), shared.lately(), return_exceptions=True)
    assert [type(each) for each in found] == [Unavailable, Unavailable]
    assert await shared.lately() == []


@pytest.mark.parametrize("address", ["/metrics", "/v1/projections"])
async def test_kafka_hangs(settings: Settings, address: str) -> None:
    """A scrape tells all but the lag, and in time, though Kafka keeps its connections and says nothing."""
    async with saying_nothing() as port:
        own = {"port": free_port(), "kafka_url": f"127.0.0.1:{port}", "data": settings.data / "kafka-hangs"}
        async with running_api(msgspec.structs.replace(settings, **own)) as api:
            timeout = aiohttp.ClientTimeout(total=5 * ANSWER_S)  # the client of Kafka itself would wait for forty
            async with api.http.get(address, headers=api.authorized, timeout=timeout) as response:
                assert response.status == 200
                told = await response.text()
    if address == "/metrics":
        assert "gavel_projections_known 1.0" in told.splitlines()
        assert 'gavel_projection_status{projection="ledger",status="running"}' in told
        assert "gavel_projection_lag_events{" not in told
