"""The books over HTTP: statements, refunds that are given once, and days that are closed."""

from __future__ import annotations

import asyncio
import csv
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import CLEARING_CPM, Auction, bid_request, hold
from tests.api.running_api import RunningApi
from tests.api.tenants import as_holder, buyer, seller
from tests.api.test_catalogue import Answer, ask
from tests.api.test_engagements import BROWSER

SPEND = "0.00121"
"""Of one impression at CLEARING_CPM."""
REVENUE, FEE = "0.000968", "0.000242"
"""At the installation's share of 80 %."""


async def shown(api: RunningApi, publisher_id: str = "pub-1") -> Auction:
    """An auction of that publisher whose ad was seen."""
    site = bid_request()["site"] | {"publisher": {"id": publisher_id}}
    auction = await hold(api, site=site)
    async with api.http.get(auction.impression_url, headers=BROWSER) as response:
        assert response.status == 200
    return auction


def order(**changes: Any) -> dict[str, Any]:
    return {"imp_id": "1", "kind": "impression", "reason": "Nobody could see it."} | changes


async def voided(api: RunningApi, auction: Auction, **changes: Any) -> Answer:
    return await ask(api, "POST", f"/v1/auctions/{auction.id}/void", order(**changes))


async def statement(api: RunningApi, account: str, token: str | None = None, query: str = "") -> dict[str, Any]:
    """Once all that is logged is booked, or what `token` names."""
    path = f"/v1/reports/ledger?account={account}{query}"
    waiting = {} if token is None else {"Gavel_Token": token, "Prefer": "wait=20"}
    async with asyncio.timeout(30):
        while True:
            answer = await ask(api, "GET", path, **waiting)
            assert answer.status == 200, answer.body
            if token is not None or answer.body["lag"] == 0:
                report: dict[str, Any] = answer.body
                return report


async def test_a_publishers_statement(api: RunningApi) -> None:
    """Two impressions, of which one is given back: the share is earned, and taken back on the other side."""
    publisher = uuid.uuid4().hex
    assert CLEARING_CPM * 1_000 == 1_210
    await shown(api, publisher)
    given_back = await shown(api, publisher)
    refund = await voided(api, given_back)
    assert refund.status == 200, refund.body
    told = ("currency", "kind", "reason")
    assert [refund.body[name] for name in told] == ["USD", "impression", "Nobody could see it."]
    buyer_side, *others = refund.body["entry"]
    assert buyer_side["account"].startswith("bidder:")
    assert (buyer_side["debit"], buyer_side["credit"]) == ("0.00", SPEND)
    assert others == [
        {"account": f"publisher:{publisher}", "debit": REVENUE, "credit": "0.00"},
        {"account": "exchange", "debit": FEE, "credit": "0.00"},
    ]
    await statement(api, "exchange", refund.headers["Gavel-Token"])
    report = await statement(api, f"publisher:{publisher}")
    today = datetime.now(UTC).date().isoformat()
    assert report["rows"] == [
        {
            "day": today,
            "account": f"publisher:{publisher}",
            "currency": "USD",
            "charges": 2,
            "refunds": 1,
            "debit": REVENUE,
            "credit": "0.001936",
            "balance": f"-{REVENUE}",
        }
    ]
    [total] = report["totals"]
    assert (total["opening"], total["closing"]) == ("0.00", f"-{REVENUE}")


async def test_the_story_tells_of_a_refund(api: RunningApi) -> None:
    """After the impression that counted, that it counts no longer, and why."""
    auction = await shown(api)
    token = (await voided(api, auction)).headers["Gavel-Token"]
    story = await ask(api, "GET", f"/v1/auctions/{auction.id}", Gavel_Token=token, Prefer="wait=20")
    assert [each["verdict"] for each in story.body["engagements"]] == ["valid", "voided"]
    told = [sentence for paragraph in story.body["told"] for sentence in paragraph["sentences"]]
    [sentence] = [each for each in told if "counts no longer" in each]
    assert sentence.startswith("The impression of imp 1 counts no longer since ")
    assert sentence.endswith(": nobody could see it.")


async def test_all_accounts_balance(api: RunningApi) -> None:
    """Over all of them debit is credit, and nothing is left."""
    await shown(api)
    await statement(api, "exchange")
    answer = await ask(api, "GET", "/v1/reports/ledger?by=")
    assert answer.status == 200
    [total] = answer.body["totals"]
    assert total["debit"] == total["credit"] != "0.00"
    assert (total["opening"], total["closing"]) == ("0.00", "0.00")
    assert {row["account"].partition(":")[0] for row in answer.body["rows"]} >= {"bidder", "publisher", "exchange"}
    assert "day" not in answer.body["rows"][0]


async def test_a_statement_as_csv(api: RunningApi) -> None:
    """The same rows, one a line, below the names of the columns."""
    publisher = uuid.uuid4().hex
    await shown(api, publisher)
    await statement(api, f"publisher:{publisher}")
    path = f"/v1/reports/ledger?account=publisher:{publisher}&by=day,campaign"
    async with api.http.get(path, headers=api.authorized | {"Accept": "text/csv"}) as response:
        assert response.content_type == "text/csv"
        [row] = csv.DictReader((await response.text()).splitlines())
    assert list(row)[:4] == ["day", "campaign", "account", "currency"]
    assert (row["campaign"], row["charges"], row["credit"], row["debit"]) == ("", "1", REVENUE, "0.00")
    async with api.http.get(f"{path}&totals=true", headers=api.authorized | {"Accept": "text/csv"}) as response:
        opening, same, closing = csv.DictReader((await response.text()).splitlines())
    assert same == {"line": "row", **row}
    assert (opening["line"], opening["balance"], opening["charges"]) == ("opening", "0.00", "")
    assert (closing["line"], closing["balance"], closing["credit"]) == ("closing", f"-{REVENUE}", REVENUE)
    assert {each["account"] for each in (opening, closing)} == {f"publisher:{publisher}"}


async def test_a_refund_is_given_once(api: RunningApi) -> None:
    """At the same time or later, with or without an `Idempotency-Key`, it is one refund in the log."""
    auction = await shown(api)
    before = sum((await api.services.watermarks.high([api.services.names.engagements])).values())
    answers = await asyncio.gather(*(voided(api, auction) for _ in range(5)))
    assert {each.status for each in answers} <= {200, 409}
    last = await voided(api, auction, reason="Another reason.")
    assert (last.status, last.body["reason"]) == (200, "Nobody could see it.")
    assert {each.body["id"] for each in answers if each.status == 200} == {last.body["id"]}
    assert sum((await api.services.watermarks.high([api.services.names.engagements])).values()) == before + 1


async def test_a_refund_of_long_ago(api: RunningApi) -> None:
    """When no process remembers it any more, the log does."""
    auction = await shown(api)
    first = await voided(api, auction)
    remembered = await api.services.redis.keys(f"{api.services.names.namespace}:idempotency:*")
    assert await api.services.redis.delete(*remembered) > 0
    again = await voided(api, auction)
    assert (again.status, again.body) == (200, first.body)


async def test_what_cannot_be_voided(api: RunningApi, auction: Auction) -> None:
    """What the log does not have is 404, what counts nowhere is 409, and nothing is logged."""
    seen = await shown(api)
    robot = await hold(api)
    async with api.http.get(robot.impression_url, headers={"User-Agent": "Googlebot/2.1"}):
        pass
    before = sum((await api.services.watermarks.high([api.services.names.engagements])).values())
    assert (await voided(api, auction)).status == 404
    assert (await voided(api, seen, kind="click")).status == 404
    assert (await voided(api, seen, imp_id="2")).status == 404
    assert (await ask(api, "POST", f"/v1/auctions/{uuid.uuid4()}/void", order())).status == 404
    assert (await ask(api, "POST", "/v1/auctions/nonsense/void", order())).status == 404
    refused = await voided(api, robot)
    assert (refused.status, set(refused.faults)) == (409, {"kind"})
    assert "bot" in refused.body["errors"][0]["message"]
    wrong = await voided(api, seen, kind="view")
    assert (wrong.status, set(wrong.faults)) == (400, {"kind"})
    assert sum((await api.services.watermarks.high([api.services.names.engagements])).values()) == before


async def test_a_day_is_closed(api: RunningApi) -> None:
    """Yesterday, in every partition; the statement says so, and it may be closed again."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    for _ in range(2):
        answer = await ask(api, "POST", f"/v1/ledger/days/{yesterday}/close")
        assert (answer.status, answer.body) == (200, {"day": yesterday, "partitions": 3})
    assert (await statement(api, "exchange"))["closed_through"] == yesterday
    headers = api.authorized | {"Accept": "text/csv"}
    async with api.http.get("/v1/reports/ledger?account=exchange", headers=headers) as response:
        assert response.headers["Gavel-Closed-Through"] == yesterday


@pytest.mark.parametrize("day", ["2026-13-01", "yesterday", "9999-12-31", "today"])
async def test_a_day_that_cannot_be_closed(api: RunningApi, day: str) -> None:
    """One that is not over, or that is none."""
    named = datetime.now(UTC).date().isoformat() if day == "today" else day
    answer = await ask(api, "POST", f"/v1/ledger/days/{named}/close")
    assert (answer.status, set(answer.faults)) == (400, {"day"})


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("account=bank:1", "account"),
        ("account=", "account"),
        ("by=hour", "by"),
        ("from=tomorrow", "from"),
        ("to=0001-01-01", "to"),
        ("from=2026-11-20&to=2026-11-20", "to"),
    ],
)
async def test_statements_that_make_no_sense(empty_api: RunningApi, query: str, fault: str) -> None:
    """They are refused with the name of what is wrong."""
    answer = await ask(empty_api, "GET", f"/v1/reports/ledger?{query}")
    assert (answer.status, set(answer.faults)) == (400, {fault})


async def test_a_tenant_has_its_own_account(api: RunningApi) -> None:
    """Publishers and advertisers get their own statement, no other exists for them, and they neither void nor close."""
    one, two = await seller(api, "Ledgerly"), await buyer(api, "Spenders")
    for key, own, other in (
        (one.key, f"publisher:{one.publisher['id']}", f"advertiser:{two.advertiser['id']}"),
        (two.key, f"advertiser:{two.advertiser['id']}", f"publisher:{one.publisher['id']}"),
    ):
        mine = await as_holder(api, key, "GET", "/v1/reports/ledger")
        assert (mine.status, mine.body["account"]) == (200, own)
        for account in (other, "exchange"):
            assert (await as_holder(api, key, "GET", f"/v1/reports/ledger?account={account}")).status == 404
        assert (await as_holder(api, key, "POST", "/v1/ledger/days/2026-01-01/close")).status == 403
        assert (await as_holder(api, key, "POST", f"/v1/auctions/{uuid.uuid4()}/void", order())).status == 403
