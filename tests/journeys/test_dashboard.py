"""The page as an operator sees it: a real browser on a running exchange with traffic."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, expect

from domain.names import Names
from tests.journeys.running_exchange import GAVEL, RunningExchange, running_exchange
from tests.projections.test_auction_story import NAMES, TOLD, afterwards, of_every_rule
from tests.projections.traffic import Log, Traffic

PATIENCE_MS = 90_000
TRAFFIC = ("--rate", "15", "--seconds", "1800")

expect.set_options(timeout=PATIENCE_MS)


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
    page.on("console", lambda said: broken.extend(_complaints(said)))
    yield page
    await context.close()
    assert elsewhere == []
    assert broken == []


def _complaints(said: ConsoleMessage) -> list[str]:
    """What the page has to complain of; that an answer was a refusal is told by the browser too, and is none."""
    return [said.text] if said.type == "error" and not said.text.startswith("Failed to load resource") else []


def _is_of(exchange: RunningExchange, url: str) -> bool:
    return urlsplit(url).netloc == urlsplit(exchange.url).netloc


def address_with_key(exchange: RunningExchange) -> str:
    return f"{exchange.url}/#key={exchange.installation['admin_key']}"


async def test_the_key_leaves_the_address_bar(browser: Browser, exchange: RunningExchange) -> None:
    """The address that was printed signs in, and the key does not stay in the browser's history."""
    async with page_of(browser, exchange) as page:
        await page.goto(address_with_key(exchange))
        await expect(page.locator("#connection")).to_have_text("Live")
        await expect(page).to_have_url(f"{exchange.url}/")
        await page.reload()
        await expect(page.locator("#connection")).to_have_text("Live")


async def test_signing_in_and_out(browser: Browser, exchange: RunningExchange) -> None:
    """Without the key there is a form; a wrong key is refused in words; signing out takes everything away."""
    async with page_of(browser, exchange) as page:
        await page.goto(exchange.url)
        await expect(page.locator("#board")).to_be_hidden()
        await page.get_by_label("Access key").fill("not the key")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_have_text("That key is not valid here.")
        await page.get_by_label("Access key").fill(exchange.installation["admin_key"])
        await page.keyboard.press("Enter")
        await expect(page.locator("#connection")).to_have_text("Live")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.locator("#board")).to_be_hidden()
        await expect(page.locator("#connection")).to_have_text("Signed out")


async def test_figures_move(browser: Browser, exchange: RunningExchange) -> None:
    """Auctions, money, latency, outcomes and every projection's lag are there, from the traffic that runs."""
    async with page_of(browser, exchange) as page:
        await page.goto(address_with_key(exchange))
        for tile in ("auctions", "bids", "wins", "impressions", "spend"):
            figure = page.locator(f"[data-tile={tile}] .figure")
            await expect(figure).to_have_text(re.compile(r"^\d*[1-9]|0\.\d*[1-9]"))
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
    await exchange.caught_up()
    async with page_of(browser, exchange) as page:
        await page.goto(f"{address_with_key(exchange)}&auction={auction.id}")
        story = page.get_by_role("dialog")
        await expect(story.locator(".facts")).to_contain_text("gdpr")
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
        await page.get_by_role("button", name="Pause", exact=True).click()
        held = await first.get_attribute("data-id")
        figures = await page.locator("[data-tile=auctions] .aside").inner_text()
        await expect(page.locator("[data-tile=auctions] .aside")).not_to_have_text(figures)
        assert await first.get_attribute("data-id") == held
        await page.get_by_role("button", name="Resume", exact=True).click()
        await expect(page.locator(f'#auctions tr[data-id="{held}"] >> nth=0')).not_to_be_attached(timeout=PATIENCE_MS)


def rows_of(page: Page, projection: str) -> Locator:
    """All that the table of projections has of one."""
    return page.locator(f'#operations-table > tbody[data-key="{projection}"]')


async def confirmed(page: Page, button: str) -> None:
    """Presses a button of the table, and the one that the question ends with; with the keyboard alone."""
    await page.get_by_role("button", name=button, exact=True).focus()
    await page.keyboard.press("Enter")
    question = page.locator("#ask")
    await expect(question).to_be_visible()
    await question.locator("#ask-send").press("Enter")
    await expect(question).to_be_hidden()


async def test_a_projection_is_rebuilt_and_swapped_back(browser: Browser, exchange: RunningExchange) -> None:
    """Rebuilt beside the generation that is read, swapped, compared, swapped back and retired, all on the page."""
    async with page_of(browser, exchange) as page:
        await page.goto(address_with_key(exchange))
        rows = rows_of(page, "bidder_health")
        read = rows.locator("[data-title=Generation]")
        await expect(read).to_have_text("1")
        await confirmed(page, "Rebuild bidder_health")
        await expect(page.locator("#operations-note")).to_have_text("Generation 2 of bidder_health is being built.")
        await expect(read).to_have_text("2")
        await expect(rows.locator("tr[data-generation='1']")).to_contain_text("previous")
        await confirmed(page, "Swap back generation 1 of bidder_health")
        await expect(read).to_have_text("1")
        await confirmed(page, "Verify generation 2 of bidder_health")
        built = rows.locator("tr[data-generation='2']")
        await expect(built).to_contain_text("equals generation 1, row for row")
        await confirmed(page, "Retire generation 2 of bidder_health")
        await expect(built).not_to_be_attached(timeout=PATIENCE_MS)
        await expect(rows.locator(".disclosure")).to_be_focused()
        await page.keyboard.press("Enter")
        decided = rows.get_by_role("region", name="Decided by people")
        await expect(decided.locator("tbody tr td:nth-child(2)")).to_have_text(["retire", "verify", "swap", "rebuild"])
        await expect(decided.locator("tbody")).to_contain_text("the operator")
        await expect(rows.get_by_role("region", name="Partitions").locator("tbody td").last).not_to_have_text("nobody")


async def test_a_build_that_differs_waits_for_a_decision(browser: Browser, exchange: RunningExchange) -> None:
    """The rows that differ are shown and somebody decides; what cannot be done any more is told where it was asked."""
    connection = await asyncpg.connect(exchange.installation["postgres_url"])
    await connection.execute("UPDATE entities SET status = 'spoilt' WHERE id = (SELECT min(id) FROM entities)")
    await connection.close()
    async with page_of(browser, exchange) as page:
        await page.goto(address_with_key(exchange))
        rows = rows_of(page, "catalogue")
        built = rows.locator("tr[data-generation='2']")
        await confirmed(page, "Rebuild catalogue")
        await expect(built).to_contain_text("Waits")
        await expect(built).to_contain_text("generation 2 of catalogue differs from generation 1")
        await built.get_by_text("The first rows that differ").click()
        await expect(built.locator(".differences li", has_text="spoilt")).to_be_visible()
        await confirmed(page, "Swap generation 2 of catalogue")
        await expect(rows.locator("[data-title=Generation]")).to_have_text("2")
        await page.get_by_role("button", name="Retire generation 1 of catalogue").click()
        await exchange.post("/v1/projections/catalogue/swap", {"generation": 1})
        await page.locator("#ask-send").click()
        await expect(page.locator("#ask").get_by_role("alert")).to_contain_text("generation 1")
        await page.keyboard.press("Escape")
        await expect(page.locator("#ask")).to_be_hidden()
        await confirmed(page, "Retire generation 2 of catalogue")


async def test_a_projection_is_paused_and_resumed(browser: Browser, exchange: RunningExchange) -> None:
    """The page says that it rests, and offers the way on."""
    async with page_of(browser, exchange) as page:
        await page.goto(address_with_key(exchange))
        status = rows_of(page, "delivery").locator("[data-title=Status]")
        await expect(status).to_have_text("running")
        await confirmed(page, "Pause delivery")
        await expect(status).to_have_text("paused")
        await confirmed(page, "Resume delivery")
        await expect(status).to_have_text("running")


async def test_dead_letters_are_decided_about(browser: Browser, exchange: RunningExchange) -> None:
    """Listed without what they hold; tried again in vain, shown when asked for, skipped with a reason that stays."""
    names = Names()
    async with Log(exchange.installation["kafka_url"], names) as log:
        await log.append_bytes(names.engagements, "an odd key", b'{"type":"never_heard_of","of":"a viewer"}')
    async with page_of(browser, exchange) as page:
        await page.goto(address_with_key(exchange))
        count = rows_of(page, "traffic").locator("button.letters")
        await expect(count).to_have_text("1")
        await count.click()
        drawer = page.locator("#letters")
        letter = drawer.locator("li.letter")
        await expect(letter).to_contain_text("never_heard_of")
        await expect(letter).to_contain_text("an odd key")
        await expect(drawer).not_to_contain_text("a viewer")
        await letter.get_by_role("button", name="Payload").click()
        await expect(letter.locator("pre")).to_contain_text("a viewer")
        await letter.get_by_role("button", name="Retry").click()
        await page.locator("#ask-send").click()
        await expect(page.locator("#letters-note")).to_contain_text("1 letter of these keys still open")
        await letter.get_by_role("button", name="Skip").click()
        await page.locator("#ask-send").click()
        await expect(page.locator("#ask")).to_be_visible()
        await page.get_by_label("Why").fill("Nobody knows what it was.")
        await page.locator("#ask-send").click()
        await expect(drawer).to_contain_text("Nothing waits here")
        await page.get_by_label("Those that were decided about").check()
        await expect(letter).to_contain_text("skipped by the operator")
        await expect(letter).to_contain_text("Nobody knows what it was.")
        await page.keyboard.press("Escape")
        await expect(count).to_have_text("0")


async def test_a_build_that_stopped_goes_on(browser: Browser, exchange: RunningExchange) -> None:
    """Asked for again it is the same generation; what other code has built is not offered to be swapped back."""
    names = Names()
    async with Log(exchange.installation["kafka_url"], names) as log:
        await log.append_bytes(names.auctions, "another odd key", b'{"type":"never_heard_of","of":"a bidder"}')
    async with page_of(browser, exchange) as page:
        await page.goto(address_with_key(exchange))
        rows = rows_of(page, "bidder_health")
        await confirmed(page, "Rebuild bidder_health")
        built = rows.locator("tr[data-generation]", has_text="Stopped: ")
        await expect(built).to_contain_text("cannot be applied")
        number = await built.get_attribute("data-generation")
        await page.get_by_role("button", name="Rebuild bidder_health").click()
        question = page.locator("#ask")
        await expect(question).to_contain_text(f"Go on building generation {number} of bidder_health?")
        await expect(question).to_contain_text("It has stopped: ")
        await question.get_by_label("Accept events that cannot be applied").check()
        await question.locator("#ask-send").click()
        await expect(rows.locator("[data-title=Generation]")).to_have_text(number or "")
        before = rows.locator("tr[data-generation='1']")
        await expect(before).to_contain_text("so that it can be swapped back")
        connection = await asyncpg.connect(exchange.installation["postgres_url"])
        await connection.execute(
            "UPDATE projection_generations SET layout = 'of before' "
            "WHERE projection = 'bidder_health' AND generation = 1"
        )
        await connection.close()
        await expect(before).to_contain_text("is of another version of Gavel")
        await expect(before.get_by_role("button")).to_have_text(["Retire"])
        await rows.locator(".disclosure").click()
        generations = rows.get_by_role("region", name="Generations").locator("tbody tr")
        await expect(generations.first.locator("td").nth(4)).to_have_text("–")
        await expect(generations.last.locator("td").nth(4)).not_to_have_text("–")


async def test_a_lost_connection_is_told_and_comes_back(browser: Browser, exchange: RunningExchange) -> None:
    """While the API is away the page says so; it is live again by itself."""
    async with page_of(browser, exchange) as page:
        await page.goto(address_with_key(exchange))
        await expect(page.locator("#connection")).to_have_text("Live")
        exchange.kill("gavel api")
        await expect(page.locator("#connection")).not_to_have_text("Live")
        await expect(page.locator("#connection")).to_have_text("Live")


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
        await page.keyboard.press("Escape")
        await rows_of(page, "delivery").locator("[data-act=open]").click()
        await expect(
            page.get_by_role("region", name="Decided by people").or_(page.get_by_text("Nothing yet."))
        ).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await rows_of(page, "delivery").locator("[data-act=rebuild]").click()
        await expect(page.locator("#ask-send")).to_be_visible()
        assert await page.evaluate("document.getElementById('ask').scrollWidth") <= 390
