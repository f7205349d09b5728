"""The operator's board of an exchange with feed clients, in a real browser; and of one without."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from domain.names import Names
from domain.terms.feed_client import feed_client_id
from projections.redis_client import redis_client
from tests.journeys.running_exchange import RunningExchange, eventually, running_exchange
from tests.journeys.test_dashboard import PATIENCE_MS, address_with_key, page_of

WINTER = "winter audiences"
HOSTILE = "<img src=x onerror=alert(1)> of a client whose name is as long as it may b"[:64]
PAGED = 105
"""One more page than fits."""
WIDE, PHONE = 1280, 390


@pytest.fixture(scope="module")
async def exchange(data_folder: Path) -> AsyncIterator[RunningExchange]:
    """Nobody uses it but these tests, in their order: in the beginning it has no feed client."""
    async with running_exchange(data_folder / "dashboard-feeds") as running:
        yield running


def rows_of(page: Page, client: str) -> Locator:
    """All that the table has of one."""
    return page.locator(f'#feeds-table > tbody[data-key="{feed_client_id(client)}"]')


def cell(page: Page, client: str, title: str) -> Locator:
    return rows_of(page, client).locator(f'[data-title="{title}"]')


async def sent(exchange: RunningExchange, client: str, what: str, lines: list[Any]) -> dict[str, Any]:
    """What the upload of these lines was answered."""
    headers = {
        "Authorization": f"Bearer {exchange.installation['admin_key']}",
        "Content-Type": "application/x-ndjson",
    }
    body = b"\n".join(line if isinstance(line, bytes) else msgspec.json.encode(line) for line in lines)
    url = f"{exchange.url}/v1/feeds/{quote(client, safe='')}/{what}"
    async with aiohttp.ClientSession(headers=headers) as http, http.post(url, data=body) as answer:
        assert answer.status == 202, await answer.text()
        received: dict[str, Any] = await answer.json()
        return received


def records(count: int) -> list[Any]:
    return [{"key": f"k{number}", "value": {"segments": ["skiers"]}} for number in range(count)]


async def shown(page: Page, exchange: RunningExchange) -> None:
    await page.goto(address_with_key(exchange))
    await expect(page.locator("#connection")).to_have_text("Live")


async def test_nothing_is_shown_where_nobody_sends(browser: Browser, exchange: RunningExchange) -> None:
    """Not even a title, once the page has asked."""
    async with page_of(browser, exchange) as page:
        async with page.expect_response(re.compile("/v1/feeds")) as asked:
            await shown(page, exchange)
        assert (await (await asked.value).json())["items"] == []
        await expect(page.locator("#feeds")).to_be_hidden()


async def test_what_each_client_has(browser: Browser, exchange: RunningExchange) -> None:
    """Records, whether they are all there, the last load with what was refused of it, and how far both topics are."""
    await exchange.post("/v1/feed-clients", {"name": WINTER, "unreadable_percent": 40})
    await exchange.post("/v1/feed-clients", {"name": HOSTILE})
    await sent(exchange, WINTER, "bulk?mode=replace", [*records(1_200), b"no record"])
    async with page_of(browser, exchange) as page:
        await shown(page, exchange)
        await expect(page.locator("#feeds")).to_be_visible()
        await expect(cell(page, WINTER, "Records")).to_have_text("1,200")
        await expect(cell(page, WINTER, "Last load")).to_have_text("replace published")
        await expect(cell(page, WINTER, "Found")).to_have_text("complete")
        await expect(cell(page, WINTER, "Applied")).to_have_text("1,200")
        await expect(cell(page, WINTER, "Refused")).to_have_text("1")
        await expect(cell(page, WINTER, "When")).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))
        await expect(rows_of(page, HOSTILE).locator(".disclosure")).to_have_text(HOSTILE)
        await expect(cell(page, HOSTILE, "Last load")).to_have_text("–")
        assert await page.locator("#feeds img").count() == 0
        assert await page.evaluate("document.documentElement.scrollWidth") <= WIDE
        for topic in ("bulk", "changes"):
            await expect(page.locator(f"#feeds-topics [data-topic={topic}]")).to_contain_text("up to date")


async def test_a_load_that_failed_says_why(browser: Browser, exchange: RunningExchange) -> None:
    """Beneath its client; the table takes it in by itself, and what was opened stays open."""
    async with page_of(browser, exchange) as page:
        await shown(page, exchange)
        opener = rows_of(page, WINTER).locator(".disclosure")
        await opener.focus()
        await page.keyboard.press("Enter")
        told = rows_of(page, WINTER).get_by_role("region", name=f"Records of {WINTER}")
        await expect(told.locator("tr", has_text="Records read").locator("td").nth(1)).to_have_text("1,200")
        await expect(told.locator("tr", has_text="Lines refused").locator("td").nth(3)).to_have_text("1")
        await sent(exchange, WINTER, "bulk", [*records(1), b"no record", b"nor this"])
        await expect(cell(page, WINTER, "Last load")).to_have_text("merge failed")
        await expect(rows_of(page, WINTER)).to_contain_text("The last load failed: 2 of 3 records were refused")
        await expect(opener).to_be_focused()
        await expect(told).to_be_visible()
        await page.keyboard.press("Enter")
        await expect(told).to_be_hidden()


async def test_what_is_read_again_is_told(browser: Browser, exchange: RunningExchange) -> None:
    """While Redis has lost a client nobody calls it complete; it is filled by itself, and told."""
    redis, client = redis_client(exchange.installation["redis_url"]), feed_client_id(WINTER)
    for name in ("audiences", "audiences_bulk"):
        await exchange.post(f"/v1/projections/{name}/pause", {})
    try:
        await eventually(lambda: _nobody_reads(exchange), PATIENCE_MS / 1_000)
        await redis.delete(*Names().feed_keys(client))
        async with page_of(browser, exchange) as page:
            await shown(page, exchange)
            await expect(cell(page, WINTER, "Found")).to_have_text("being filled again")
            await expect(page.locator("#feeds-topics [data-topic=bulk]")).to_contain_text("paused")
            for name in ("audiences", "audiences_bulk"):
                await exchange.post(f"/v1/projections/{name}/resume", {})
            await expect(cell(page, WINTER, "Found")).to_have_text("complete")
            await expect(page.locator("#feeds-topics [data-topic=bulk]")).not_to_contain_text("paused")
    finally:
        await redis.aclose()


async def _nobody_reads(exchange: RunningExchange) -> bool:
    statuses = await exchange.get("/v1/projections")
    return not any(each["workers"] for each in statuses if each["name"].startswith("audiences"))


async def test_a_client_sees_its_own_records_alone(browser: Browser, exchange: RunningExchange) -> None:
    """With its own key: what became of them, and nothing of the table."""
    terms = {"name": "Winter", "role": "feed_client", "subject_id": feed_client_id(WINTER)}
    key = (await exchange.post("/v1/access-keys", terms))["key"]
    async with page_of(browser, exchange) as page:
        await page.goto(f"{exchange.url}/#key={key}")
        figures = page.locator("#tenant-figures")
        await expect(figures.locator("th").first).to_have_text(WINTER)
        await expect(figures.locator("tr", has_text="Lines refused").locator("td").nth(1)).to_have_text("3")
        await expect(page.locator("#tenant-span")).to_contain_text("of all time")
        await expect(page.locator("#feeds")).to_be_hidden()


async def test_many_clients_come_in_pages(browser: Browser, exchange: RunningExchange) -> None:
    """By their names, one request for each look; the way on and back is there where there is one."""
    for number in range(PAGED - 2):
        await exchange.post("/v1/feed-clients", {"name": f"data provider {number:03}"})
    await exchange.caught_up()
    async with page_of(browser, exchange) as page:
        await shown(page, exchange)
        clients = page.locator("#feeds-table > tbody")
        await expect(clients).to_have_count(100)
        further, back = page.get_by_role("button", name="Next page"), page.get_by_role("button", name="From the start")
        await expect(back).to_be_disabled()
        await further.click()
        await expect(clients).to_have_count(PAGED - 100)
        await expect(rows_of(page, WINTER)).to_be_visible()
        await expect(further).to_be_disabled()
        await back.click()
        await expect(clients).to_have_count(100)
        await page.get_by_role("button", name="Sign out").click()
        await expect(clients).to_have_count(0)


async def test_it_fits_a_phone(browser: Browser, exchange: RunningExchange) -> None:
    """Nothing is wider than the screen, whatever a client is called, and with all its records shown."""
    async with page_of(browser, exchange, width=PHONE) as page:
        await shown(page, exchange)
        await rows_of(page, HOSTILE).locator(".disclosure").click()
        await expect(rows_of(page, HOSTILE).get_by_role("region")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE
