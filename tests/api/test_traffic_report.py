"""`GET /v1/reports/traffic`: what became of real hits on a running exchange, on one node and on two."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gavel.settings import Settings
from tests.api.conftest import Auction, bid_request, hold
from tests.api.running_api import RunningApi, free_port, running_api, until
from tests.api.tenants import Seller, as_holder, seller
from tests.api.test_catalogue import ask

PATH = "/v1/reports/traffic"
BROWSER = bid_request()["device"]["ua"]
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
CLOUD = "198.51.100.77"


@pytest.fixture(scope="module")
async def second_node(
    api: RunningApi, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningApi]:
    """Another API process of the same exchange, which has been told of a robot and a data centre."""
    folder = tmp_path_factory.mktemp("second-node")
    robots, clouds = folder / "robots.txt", folder / "clouds.txt"
    robots.write_text("^HouseCrawler\n")
    clouds.write_text(f"{CLOUD}/32 # a cloud\n")
    own = {"port": free_port(), "data": folder, "robot_patterns": robots, "data_centres": clouds}
    async with running_api(msgspec.structs.replace(settings, **own)) as node:
        yield node


async def on_sale(api: RunningApi, name: str) -> tuple[Seller, Auction]:
    """A publisher of its own, so that a report can be narrowed to it, and an ad on its page."""
    selling = await seller(api, name)
    site = {"domain": f"{name.lower()}.example", "publisher": {"id": selling.publisher["id"]}}
    return selling, await hold(api, site=site)


async def hit(node: RunningApi, url: str, user_agent: str = BROWSER, ip: str | None = None) -> int:
    headers = {"User-Agent": user_agent} | ({} if ip is None else {"X-Forwarded-For": ip})
    async with node.http.get(url, headers=headers, allow_redirects=False) as response:
        await response.read()
        return response.status


async def rows_with(api: RunningApi, publisher_id: str, gross: int) -> dict[str, dict[str, Any]]:
    """The publisher's rows by kind, once so many hits are counted."""
    report: dict[str, Any] = {}

    async def is_counted() -> bool:
        nonlocal report
        report = (await ask(api, "GET", f"{PATH}?publisher={publisher_id}")).body
        return bool(sum(row["gross"] for row in report["rows"]) >= gross)

    await until(is_counted, seconds=20)
    return {row["kind"]: row for row in report["rows"]}


async def test_every_hit_has_its_reason(api: RunningApi, second_node: RunningApi) -> None:
    """Of one ad: a click before its pixel, a repeated pixel, a robot, a script, another device and a data centre."""
    selling, auction = await on_sale(api, "Courier")
    assert await hit(api, auction.click_url) == 302
    for user_agent in (BROWSER, BROWSER, ROBOT, "my script", IPHONE):
        assert await hit(api, auction.impression_url, user_agent) == 200
    assert await hit(second_node, auction.click_url, ip=CLOUD) == 302
    rows = await rows_with(api, selling.publisher["id"], gross=7)
    assert {name: count for name, count in rows["impression"].items() if count} == {
        "kind": "impression",
        "gross": 5,
        "valid": 1,
        "duplicate": 1,
        "invalid": 3,
        "robot": 1,
        "not_a_browser": 1,
        "device_mismatch": 1,
        "invalid_rate": 0.6,
    }
    assert {name: count for name, count in rows["click"].items() if count} == {
        "kind": "click",
        "gross": 2,
        "valid": 1,
        "invalid": 1,
        "data_centre": 1,
        "invalid_rate": 0.5,
    }

    async def is_told() -> bool:
        story = (await ask(api, "GET", f"/v1/auctions/{auction.id}")).body
        return sorted(each["verdict"] for each in story["engagements"]) == expected

    expected = ["bot"] * 4 + ["duplicate"] + ["valid"] * 2
    await until(is_told, seconds=20)  # another read model than the report's, at its own pace


async def test_a_robot_of_the_operators_list_starts_no_auction(api: RunningApi, second_node: RunningApi) -> None:
    """Where the list is in force nobody is asked to bid for it."""
    request = bid_request(device={"ua": "HouseCrawler/1 Mozilla/5.0", "ip": "203.0.113.7"})
    for node, status in ((api, 200), (second_node, 204)):
        async with node.http.post("/openrtb2/auction", json=request) as response:
            assert response.status == status


async def test_one_pixel_on_two_nodes_at_once(api: RunningApi, second_node: RunningApi) -> None:
    """Eight requests for one pixel, four on each node, at the same moment: one impression, seven repeated ones."""
    selling, auction = await on_sale(api, "Gazette")
    await asyncio.gather(*(hit(node, auction.impression_url) for node in (api, second_node) for _ in range(4)))
    rows = await rows_with(api, selling.publisher["id"], gross=8)
    assert (rows["impression"]["valid"], rows["impression"]["duplicate"]) == (1, 7)


async def test_a_pixel_after_everything_was_forgotten(api: RunningApi, settings: Settings, tmp_path: Path) -> None:
    """A process that has just started believes the address of an ad from before; what Redis forgot, Postgres knows."""
    selling, auction = await on_sale(api, "Mercury")
    assert await hit(api, auction.impression_url) == 200
    await api.services.redis.delete(api.services.names.engagement_key("impression", auction.id, "1"))
    async with running_api(msgspec.structs.replace(settings, port=free_port(), data=tmp_path)) as restarted:
        assert await hit(restarted, auction.impression_url) == 200
    rows = await rows_with(api, selling.publisher["id"], gross=2)
    assert (rows["impression"]["valid"], rows["impression"]["duplicate"]) == (1, 1)
    delivered = (await ask(api, "GET", f"/v1/reports/delivery?publisher={selling.publisher['id']}")).body["totals"]
    assert (delivered["impressions_gross"], delivered["impressions"]) == (2, 1)


async def test_who_reads_it(api: RunningApi) -> None:
    """A publisher reads its own rows, as CSV too; another publisher's are not there."""
    (selling, auction), (other, _) = await on_sale(api, "Observer"), await on_sale(api, "Examiner")
    await hit(api, auction.impression_url)
    await rows_with(api, selling.publisher["id"], gross=1)
    own = (await as_holder(api, selling.key, "GET", PATH)).body
    assert own["totals"]["impression"]["valid"] == 1
    assert (await as_holder(api, other.key, "GET", PATH)).body["rows"] == []
    foreign = await as_holder(api, other.key, "GET", f"{PATH}?publisher={selling.publisher['id']}")
    assert foreign.status == 404
    headers = {"Authorization": f"Bearer {selling.key.secret}", "Accept": "text/csv"}
    async with api.http.get(f"{PATH}?by=publisher,day", headers=headers) as said:
        assert said.headers["Content-Type"].startswith("text/csv")
        [line] = csv.DictReader(io.StringIO(await said.text()))
    assert list(line)[:3] == ["publisher", "day", "kind"]
    assert (line["publisher"], line["kind"], line["valid"]) == (selling.publisher["id"], "impression", "1")


@pytest.mark.parametrize(
    ("query", "path"), [("?by=planet", "by"), ("?robot=1", "robot"), ("?from=2026-11-02&to=2026-11-01", "to")]
)
async def test_a_report_that_cannot_be_made(api: RunningApi, query: str, path: str) -> None:
    """The fault is named."""
    answer = await ask(api, "GET", f"{PATH}{query}")
    assert (answer.status, [fault["path"] for fault in answer.body["errors"]]) == (400, [path])
