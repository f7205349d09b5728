"""The page as an operator sees it: a real browser on a running exchange with traffic."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from domain.names import Names
from tests.journeys.running_exchange import GAVEL, RunningExchange, running_exchange
from tests.projections.test_auction_story import NAMES, TOLD, afterwards, of_every_rule
from tests.projections.traffic import Log, Traffic

PATIENCE_MS = 45_000
TRAFFIC = ("--rate", "15", "--seconds", "600")


@pytest.fixture(scope="module")
async def exchange(data_folder: Path) -> AsyncIterator[RunningExchange]:
    """An exchange that publishers, bidders and viewers use."""
    async with running_exchange(data_folder / "dashboard") as running:
        traffic = await asyncio.create_subprocess_exec(*GAVEL, "simulate", "--data", str(running.data), *TRAFFIC)
        yield running
        traffic.send_signal(signal.SIGINT)
        await traffic.wait()


@asynccontextmanager
async def page_of(browser: Browser, exchange: RunningExchange, *, width: int = 1280) -> AsyncIterator[Page]:
    """A fresh tab; fails if the page asks anybody else for anything, or breaks."""
    context = await browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    elsewhere: list[str] = []
    broken: list[str] = []
    page.on("request", lambda request: _is_of(exchange, request.url) or elsewhere.append(request.url))
    page.on("pageerror", lambda error: broken.append(str(error)))
    yield page
    await context.close()
    assert elsewhere == []
    assert broken == []


def _is_of(exchange: RunningExchange, url: str) -> bool:
    return urlsplit(url).netloc == urlsplit(exchange.url).netloc


def address_with_key(exchange: RunningExchange) -> str:
    return f"{exchange.url}/#key={exchange.installation['admin_key']}"


async def test_the_key_leaves_the_address_bar(browser: Browser, exchange: RunningExchange) -> None:
    """The address that was printed signs in, and the key does not stay in the browser's history."""
    async with page_of(browser, exchange) as page:
        await page.goto(address_with_key(exchange))
        await expect(page.locator("#connection")).to_have_text("Live", timeout=PATIENCE_MS)
        await expect(page).to_have_url(f"{exchange.url}/")
        await page.reload()
        await expect(page.locator("#connection")).to_have_text("Live", timeout=PATIENCE_MS)


async def test_signing_in_and_out(browser: Browser, exchange: RunningExchange) -> None:
    """Without the key there is a form; a wrong key is refused in words; signing out takes everything away."""
    async with page_of(browser, exchange) as page:
        await page.goto(exchange.url)
        await expect(page.locator("#board")).to_be_hidden()
        await page.get_by_label("Access key").fill("not the key")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_have_text("That key is not valid here.", timeout=PATIENCE_MS)
        await page.get_by_label("Access key").fill(exchange.installation["admin_key"])
        await page.keyboard.press("Enter")
        await expect(page.locator("#connection")).to_have_text("Live", timeout=PATIENCE_MS)
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.locator("#board")).to_be_hidden()
        await expect(page.locator("#connection")).to_have_text("Signed out")


async def test_figures_move(browser: Browser, exchange: RunningExchange) -> None:
    """Auctions, money, latency, outcomes and every projection's lag are there, from the traffic that runs."""
    async with page_of(browser, exchange) as page:
        await page.goto(address_with_key(exchange))
        for tile in ("auctions", "bids", "wins", "impressions", "spend"):
            figure = page.locator(f"[data-tile={tile}] .figure")
            await expect(figure).to_have_text(re.compile(r"^\d*[1-9]|0\.\d*[1-9]"), timeout=PATIENCE_MS)
        await expect(page.locator("#latency dd").first).to_have_text(re.compile(r"\d"))
        await expect(page.locator("#outcomes tr", has_text="won")).to_contain_text("%")
        for projection in ("catalogue", "auction log", "delivery"):
            await expect(page.locator("#projections tr", has_text=projection).first).to_be_visible()


async def test_an_auction_tells_its_story(browser: Browser, exchange: RunningExchange) -> None:
    """A row of the list opens who was asked, what each answered and when, who won and what it pays."""
    async with page_of(browser, exchange) as page:
        await page.goto(address_with_key(exchange))
        await page.get_by_label("Show").select_option("awarded")
        row = page.locator("#auctions tr", has_text="awarded").first
        await row.locator("button").focus()
        await page.keyboard.press("Enter")
        story = page.get_by_role("dialog")
        await expect(story.locator(".verdict strong").first).to_be_visible(timeout=PATIENCE_MS)
        await expect(story.locator(".bidders .status", has_text="won").first).to_be_visible()
        await expect(story.locator(".bidders .rank.first").first).to_have_text("1")
        await expect(page).to_have_url(re.compile("#auction="))
        shared = page.url
        await page.keyboard.press("Escape")
        await expect(story).to_be_hidden()
        await expect(page).not_to_have_url(re.compile("#"))
        await page.goto(shared)
        await page.reload()
        await expect(page.get_by_role("dialog").locator(".bidders").first).to_be_visible(timeout=PATIENCE_MS)


async def test_a_story_shows_what_every_rule_did(browser: Browser, exchange: RunningExchange) -> None:
    """Deals, converted prices, groups, privacy, the sum, late answers and notices, drawn and in sentences."""
    traffic = Traffic(8)
    auction = of_every_rule(traffic)
    afterwards(auction)
    async with Log(exchange.installation["kafka_url"], Names()) as log:
        await log.append([traffic.bidder(each, name) for each, name in NAMES.items()])
        await log.append(auction.events)
    await exchange.settled()
    async with page_of(browser, exchange) as page:
        await page.goto(f"{address_with_key(exchange)}&auction={auction.id}")
        story = page.get_by_role("dialog")
        await expect(story.locator(".facts")).to_contain_text("gdpr", timeout=PATIENCE_MS)
        head = story.locator(".imp-head").first
        await expect(head).to_contain_text("deal d-1 · floor 2.00 USD = 1.60 EUR × 1.25 · agreed price · registered")
        await expect(head).to_contain_text("deals only")
        verdict = story.locator(".verdict").first
        await expect(verdict).to_contain_text(
            "Atlas won with a bid of 2.25 and pays 2.00 USD (agreed price, deal d-1)."
        )
        await expect(verdict).to_contain_text("Publisher 1.60 + exchange 0.40 = 2.00.")
        await expect(story.locator(".bidders li", has_text="Atlas").first).to_contain_text("2.00 EUR × 1.25 × 90 %")
        await expect(story.locator(".bidders li", has_text="Borealis")).to_contain_text("group 1")
        after = story.locator(".engagements")
        await expect(after).to_contain_text("Fornax · 9.00 USD for imp 1")
        await expect(after.locator("li", has_text="win notice")).to_contain_text("delivered · 204")
        await expect(after.locator("li", has_text="billing notice")).to_contain_text("given up")
        await story.get_by_text("The same in sentences").click()
        await expect(story.locator(".told").last).to_contain_text(TOLD["Afterwards"][1])


async def test_the_list_stands_still_when_paused(browser: Browser, exchange: RunningExchange) -> None:
    """What is being read does not run away; resumed, it goes on."""
    async with page_of(browser, exchange) as page:
        await page.goto(address_with_key(exchange))
        first = page.locator("#auctions tr[data-id]").first
        await expect(first).to_be_visible(timeout=PATIENCE_MS)
        await page.get_by_role("button", name="Pause").click()
        held = await first.get_attribute("data-id")
        figures = await page.locator("[data-tile=auctions] .aside").inner_text()
        await expect(page.locator("[data-tile=auctions] .aside")).not_to_have_text(figures, timeout=PATIENCE_MS)
        assert await first.get_attribute("data-id") == held
        await page.get_by_role("button", name="Resume").click()
        await expect(page.locator(f'#auctions tr[data-id="{held}"] >> nth=0')).not_to_be_attached(timeout=PATIENCE_MS)


async def test_a_lost_connection_is_told_and_comes_back(browser: Browser, exchange: RunningExchange) -> None:
    """While the API is away the page says so; it is live again by itself."""
    async with page_of(browser, exchange) as page:
        await page.goto(address_with_key(exchange))
        await expect(page.locator("#connection")).to_have_text("Live", timeout=PATIENCE_MS)
        exchange.kill("gavel api")
        await expect(page.locator("#connection")).not_to_have_text("Live", timeout=PATIENCE_MS)
        await expect(page.locator("#connection")).to_have_text("Live", timeout=PATIENCE_MS)


async def test_it_fits_a_phone(browser: Browser, exchange: RunningExchange) -> None:
    """Nothing is wider than the screen, neither the board nor a story."""
    async with page_of(browser, exchange, width=390) as page:
        await page.goto(address_with_key(exchange))
        row = page.locator("#auctions tr[data-id]").first
        await expect(row).to_be_visible(timeout=PATIENCE_MS)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await row.locator("button").click()
        await expect(page.get_by_role("dialog").locator(".bidders").first).to_be_visible(timeout=PATIENCE_MS)
        assert await page.evaluate("document.getElementById('story').scrollWidth") <= 390
