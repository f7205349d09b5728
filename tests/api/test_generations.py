"""What queries and `/v1/projections` say while a read model is built anew."""

from __future__ import annotations

import asyncpg
import msgspec

from gavel.settings import Settings
from tests.api.running_api import RunningApi, until
from tests.api.test_queries import get

REPORT = "/v1/reports/traffic"


async def test_a_version_with_other_tables(api: RunningApi, settings: Settings) -> None:
    """Its queries say that the read model is being built and when to try again, until it is; nobody has to help."""
    assert (await get(api, REPORT))[0] == 200
    connection = await asyncpg.connect(settings.postgres_url)
    try:
        await connection.execute(
            "UPDATE projection_generations SET layout = 'of before' WHERE projection = 'traffic' AND status = 'active'"
        )
    finally:
        await connection.close()
    async with api.http.get(REPORT, headers=api.authorized) as response:
        problem = msgspec.json.decode(await response.read())
        assert (response.status, problem["type"].rpartition("/")[2]) == (503, "being-built")
        assert int(response.headers["Retry-After"]) > 0
        assert "traffic is being built" in problem["detail"]

    async def is_built() -> bool:
        return (await get(api, REPORT))[0] == 200

    await until(is_built, seconds=60)
    _, projections, _ = await get(api, "/v1/projections")
    traffic = next(each for each in projections if each["name"] == "traffic")
    assert traffic["generation"] == 2
    assert [(each["generation"], each["status"]) for each in traffic["generations"]] == [(1, "previous"), (2, "active")]
    assert [each["of_this_version"] for each in traffic["generations"]] == [False, True]
    assert traffic["generations"][1]["done"] == traffic["generations"][1]["total"]
