"""What operators do about projections over HTTP: workers build, compare and swap, and all see how far they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gavel.settings import Settings
from tests.api.running_api import RunningApi, until
from tests.api.tenants import issued
from tests.api.test_catalogue import Answer, ask

READ_MODEL = "ledger"
"""Nothing in its topic is spoilt by other tests of this exchange."""
WORK_S = 60.0


async def order(api: RunningApi, command: str, body: Any = None, name: str = READ_MODEL) -> Answer:
    return await ask(api, "POST", f"/v1/projections/{name}/{command}", body)


async def shown(api: RunningApi, name: str = READ_MODEL) -> dict[str, Any]:
    answer = await ask(api, "GET", "/v1/projections")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = next(each for each in answer.body if each["name"] == name)
    return found


async def shown_once(
    api: RunningApi, holds: Callable[[dict[str, Any]], bool], name: str = READ_MODEL
) -> dict[str, Any]:
    """The projection as soon as the condition holds."""
    found: dict[str, Any] = {}

    async def it_holds() -> bool:
        found.update(await shown(api, name))
        return holds(found)

    await until(it_holds, seconds=WORK_S)
    return found


def statuses(projection: dict[str, Any]) -> dict[int, str]:
    return {each["generation"]: each["status"] for each in projection["generations"]}


async def test_from_a_rebuild_to_the_end_of_the_old_generation(empty_api: RunningApi, settings: Settings) -> None:
    """Asked for over HTTP, done by whichever worker is there: built, compared, swapped, swapped back, retired."""
    before = (await shown(empty_api))["generation"]
    asked = await order(empty_api, "rebuild")
    assert (asked.status, asked.headers["Location"]) == (202, "/v1/projections")
    new = asked.body["generation"]
    assert (asked.body["projection"], new > before) == (READ_MODEL, True)
    swapped = await shown_once(empty_api, lambda it: it["generation"] == new)
    assert (statuses(swapped)[before], statuses(swapped)[new]) == ("previous", "active")
    built = next(each for each in swapped["generations"] if each["generation"] == new)
    assert (built["verification"]["is_equal"], built["verification"]["active"]) == (True, before)
    assert {each["table"] for each in built["verification"]["tables"]} >= {"ledger"}

    back = await order(empty_api, "swap")
    assert (back.status, back.body["generation"], back.body["status"]) == (200, before, "active")
    again = await order(empty_api, "swap", {"generation": new})
    assert (again.status, again.body["generation"]) == (200, new)

    retired = await order(empty_api, "retire", {"generation": before})
    assert (retired.status, retired.body["status"]) == (202, "retired")
    connection = await asyncpg.connect(settings.postgres_url)
    try:

        async def is_removed() -> bool:
            removed: bool = await connection.fetchval(
                "SELECT removed_at IS NOT NULL FROM projection_generations WHERE projection = $1 AND generation = $2",
                READ_MODEL,
                before,
            )
            return removed

        await until(is_removed, seconds=WORK_S)
        schema = f"{READ_MODEL}_g{before}"
        assert await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema) == 0
    finally:
        await connection.close()
    told = [(each["command"], each.get("generation"), each["by"]) for each in (await shown(empty_api))["decisions"]]
    who = "the operator"
    expected = [("retire", before, who), ("swap", new, who), ("swap", before, who), ("rebuild", new, who)]
    assert told[:4] == expected


async def test_what_is_built_waits_where_it_is_not_to_be_swapped(empty_api: RunningApi) -> None:
    """It is compared by itself and again when somebody asks; a second one is refused until it is cancelled."""
    asked = await order(empty_api, "rebuild", {"swap": False})
    assert asked.status == 202, asked.body
    number = asked.body["generation"]
    second = await order(empty_api, "rebuild")
    assert second.status == 409
    assert f"generation {number} of {READ_MODEL} is " in second.body["detail"]

    def compared(projection: dict[str, Any]) -> dict[str, Any]:
        built = next(each for each in projection["generations"] if each["generation"] == number)
        return built.get("verification", {}) if not built["verifying"] else {}

    ready = await shown_once(empty_api, lambda it: bool(compared(it)))
    assert statuses(ready)[number] == "ready"
    assert compared(ready)["is_equal"]
    first_at = compared(ready)["at"]
    labels = {"projection": READ_MODEL, "generation": str(number), "status": "ready"}

    async def is_told_to_be_equal() -> bool:
        async with empty_api.http.get("/metrics") as response:
            families = {each.name: each for each in text_string_to_metric_families(await response.text())}
        samples = families["gavel_projection_generation_equal"].samples
        return [each.value for each in samples if each.labels == labels] == [1]

    await until(is_told_to_be_equal)
    assert (await order(empty_api, "verify")).status == 202
    assert compared(await shown_once(empty_api, lambda it: compared(it).get("at", first_at) > first_at))["is_equal"]
    cancelled = await order(empty_api, "cancel")
    assert (cancelled.status, cancelled.body["status"]) == (202, "cancelled")
    assert number not in statuses(await shown(empty_api))
    assert (await order(empty_api, "cancel")).status == 409


async def test_paused_and_resumed(empty_api: RunningApi) -> None:
    """In Postgres as in Redis, and it says so."""
    for name in (READ_MODEL, "catalogue_cache"):
        paused = await order(empty_api, "pause", name=name)
        assert (paused.status, paused.body) == (200, {"projection": name, "is_paused": True})
        assert (await shown(empty_api, name))["status"] == "paused"
        assert (await order(empty_api, "resume", name=name)).body["is_paused"] is False
        assert (await shown(empty_api, name))["status"] == "running"


async def test_built_in_place(empty_api: RunningApi) -> None:
    """A projection in Redis is emptied and filled by its worker; it has nothing to swap, and a number more."""
    before = (await shown(empty_api, "catalogue_cache"))["generation"]
    asked = await order(empty_api, "rebuild", name="catalogue_cache")
    assert (asked.status, asked.body["generation"]) == (202, before + 1)
    await shown_once(empty_api, lambda it: (it["status"], it["lag"]) == ("running", 0), "catalogue_cache")
    assert "built in place" in (await order(empty_api, "swap", name="catalogue_cache")).body["detail"]
    assert (await order(empty_api, "rebuild", {"swap": False}, "catalogue_cache")).status == 409


@pytest.mark.parametrize(
    ("name", "command", "body", "status", "told"),
    [
        ("nothing", "rebuild", None, 404, "there is no projection 'nothing'"),
        ("nothing", "pause", None, 404, "there is no projection 'nothing'"),
        ("notices", "rebuild", None, 409, "never rebuilt: its notices would be sent to the bidders once more"),
        ("traffic", "swap", {"generation": 99}, 404, "has no generation 99"),
        ("budgets", "verify", None, 409, "built in place"),
        ("traffic", "rebuild", {"swaps": True}, 400, "unknown field `swaps`"),
        ("traffic", "retire", {"generation": 0}, 400, "not the number of a generation"),
        ("traffic", "retire", {"generation": "1"}, 400, "Expected `int"),
        ("traffic", "swap", [], 400, "Expected `object`"),
    ],
)
async def test_refusals(  # noqa: PLR0917 - a table of cases
    empty_api: RunningApi, name: str, command: str, body: Any, status: int, told: str
) -> None:
    """Each says what is wrong."""
    answer = await order(empty_api, command, body, name)
    assert answer.status == status, answer.body
    assert told in str(answer.body)


async def test_only_for_operators(empty_api: RunningApi) -> None:
    """A tenant's key reaches none of them, and what a named key decides is told of that key."""
    key = await issued(empty_api, "admin")
    headers = {"Authorization": f"Bearer {key.secret}"}
    for command in ("pause", "resume"):
        async with empty_api.http.post(f"/v1/projections/traffic/{command}", headers=headers) as response:
            assert response.status == 200
    resumed, paused, *_ = (await shown(empty_api, "traffic"))["decisions"]
    assert (resumed["command"], paused["command"]) == ("resume", "pause")
    assert resumed["by"] == paused["by"] != "the operator"


async def test_owners_lag_and_figures(empty_api: RunningApi) -> None:
    """Every partition has a worker, a lag in events and seconds, and Prometheus is told the same."""
    told = await shown_once(empty_api, lambda it: all("owner" in each for each in it["partitions"]), "catalogue")
    [worker] = told["workers"]
    assert {each["owner"] for each in told["partitions"]} == {worker["worker"]}
    assert worker["partitions"] == len(told["partitions"]) == 3
    caught_up = await shown_once(empty_api, lambda it: it["lag"] == 0, "catalogue")
    assert {each["lag_seconds"] for each in caught_up["partitions"]} == {0}
    async with empty_api.http.get("/metrics") as response:
        families = {each.name: each for each in text_string_to_metric_families(await response.text())}
    assert [sample.value for sample in families["gavel_projections_known"].samples] == [1]
    for name in ("position", "lag_events", "lag_seconds", "partition_read"):
        samples = families[f"gavel_projection_{name}"].samples
        assert len([each for each in samples if each.labels["projection"] == "catalogue"]) == 3, name
    [running] = [
        each.value
        for each in families["gavel_projection_status"].samples
        if each.labels == {"projection": "catalogue", "status": "running"}
    ]
    assert running == 1
    for name in ("generation", "dead_letters", "events_per_second", "workers", "restarts"):
        assert families[f"gavel_projection_{name}"].samples, name
    for name in ("stopped", "waits", "dead_letters", "disk_bytes", "replayed", "to_replay"):
        samples = families[f"gavel_projection_generation_{name}"].samples
        assert [each for each in samples if each.labels["projection"] == "catalogue"], name


async def test_lag_in_seconds_of_one_that_is_paused(empty_api: RunningApi) -> None:
    """It is the age of the first event that waits, whoever asks, and grows."""
    await shown_once(empty_api, lambda it: it["lag"] == 0, "catalogue")
    await order(empty_api, "pause", name="catalogue")
    try:
        terms = {"name": "Seconds", "domain": "seconds.example", "share_bps": 8_000}
        assert (await ask(empty_api, "POST", "/v1/publishers", terms)).status == 201
        waiting = await shown_once(empty_api, lambda it: bool(it["lag"] and it["lag_seconds"]), "catalogue")
        later = await shown_once(empty_api, lambda it: it["lag_seconds"] > waiting["lag_seconds"], "catalogue")
        assert later["lag"] == waiting["lag"] == 1
        [partition] = [each for each in later["partitions"] if each["lag"]]
        assert partition["lag_seconds"] == later["lag_seconds"] < WORK_S
    finally:
        await order(empty_api, "resume", name="catalogue")
    await shown_once(empty_api, lambda it: (it["status"], it["lag"]) == ("running", 0), "catalogue")
