"""What a command has written can be read: its answer says where the log has it, and a query waits for that."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from aiokafka import TopicPartition

from api.access_rules import rule_name
from api.position_token import POSITIONS_MAX, positions_of, token_of
from commands.ports import Position
from domain.errors import InvalidInput
from tests.api.conftest import Auction, bid_request
from tests.api.feed import Feed, ndjson, record
from tests.api.running_api import RunningApi
from tests.api.tenants import Buyer, Seller, buyer, issued, seller
from tests.api.test_catalogue import CHANGES, KINDS, Answer, Market, ask, registered, terms_of
from tests.api.test_engagements import BROWSER
from tests.api.test_openapi import operations

NOT_LOGGED = {
    f"POST /v1/dead-letters{path}": "it changes the read model itself, before it is answered"
    for path in ("/retry", "/{id}/retry", "/{id}/skip")
} | {
    f"POST /v1/projections/{{id}}/{command}": "it is about read models, and nothing is logged"
    for command in ("rebuild", "verify", "swap", "retire", "cancel", "pause", "resume")
}
NOT_LOGGED |= {"POST /v1/feeds/{id}/records": "a query, whose keys do not fit into an address"}
"""Commands that answer without a token, and why."""
NO_READ_MODEL = {
    "GET /ad.js": "a file",
    "GET /livez": "the process itself",
    "GET /readyz": "the process itself",
    "GET /metrics": "the process itself",
    "GET /problems/{id}": "a sentence",
    "GET /v1/whoami": "the key that was sent",
    "GET /v1/live": "figures of the second that they name",
    "GET /v1/projections": "the lag is what it tells, of each partition",
    "GET /v1/dead-letters": "the engine's own notes, which are no model of the log",
    "GET /v1/dead-letters/{id}": "the engine's own notes",
    "GET /v1/feeds/{id}/audit": "its batches say up to which offset they tell",
    "GET /v1/feeds/{id}/records/{id}": "complete or marked as stale; Kafka is asked nothing on this path",
    "GET /v1/feeds/{id}/runs/{id}": "how far the load is applied is what it tells",
}
"""Queries that answer without a lag, and why."""

Tokens = dict[str, str]
"""By operation."""


async def test_every_operation_is_accounted_for(api: RunningApi) -> None:
    """What writes answers with a token or is named as an exception; so is what reads, with its lag."""
    found = await documented(api)
    assert NOT_LOGGED.keys() | NO_READ_MODEL.keys() <= found.keys()
    for name, operation in found.items():
        logged, read = answers_with(operation, "Gavel-Token"), answers_with(operation, "Gavel-Lag")
        if name.startswith("GET "):
            assert logged + read + (name in NO_READ_MODEL) == 1, name
        else:
            assert logged + (name in NOT_LOGGED) == 1, name


async def test_every_command_says_where_the_log_has_it(api: RunningApi) -> None:
    """Each operation that promises a token gives one, of a position that the log has."""
    one, other = await seller(api, "Tokens"), await buyer(api, "Tokenbuyer")
    tokens = await of_the_exchange(api, one) | await of_the_catalogue(api, one, other) | await of_feeds(api)
    promised = {name for name, each in (await documented(api)).items() if answers_with(each, "Gavel-Token")}
    assert tokens.keys() == promised
    ends = await api.services.watermarks.high(api.services.names.topics)
    for name, token in tokens.items():
        positions = positions_of([token])
        assert positions, name
        for at in positions:
            assert at.offset < ends[TopicPartition(at.topic, at.partition)], name


async def of_the_exchange(api: RunningApi, one: Seller) -> Tokens:
    """Of auctions, engagements, a refund and a closed day; each is read before the next one is sent."""
    path = "/openrtb2/auction"
    async with api.http.post(path, json=bid_request()) as answer:
        auction = Auction(answer.headers["Gavel-Auction"], (await answer.json())["seatbid"][0]["bid"][0])
        tokens = {f"POST {path}": answer.headers["Gavel-Token"]}
    story = await read(api, f"/v1/auctions/{auction.id}", tokens["POST /openrtb2/auction"])
    assert (story["status"], story["engagements"]) == ("awarded", [])

    async with api.http.get(auction.impression_url, headers=BROWSER) as answer:
        tokens["GET /impression"] = answer.headers["Gavel-Token"]
    async with api.http.get(auction.click_url, headers=BROWSER, allow_redirects=False) as answer:
        tokens["GET /click"] = answer.headers["Gavel-Token"]
    [hit] = parse_qs(urlsplit(auction.impression_url).query)["t"]
    async with api.http.post("/openrtb2/event", json=[{"token": hit}, {"token": hit}], headers=BROWSER) as answer:
        tokens["POST /openrtb2/event"] = answer.headers["Gavel-Token"]
    order = {"imp_id": "1", "kind": "impression", "reason": "It was a test."}
    for _ in range(2):  # the second time nothing is logged, and the token is that of the first
        voided = await ask(api, "POST", f"/v1/auctions/{auction.id}/void", order)
        assert (
            tokens.setdefault("POST /v1/auctions/{id}/void", voided.headers["Gavel-Token"])
            == (voided.headers["Gavel-Token"])
        )
    for seen, name in enumerate(("GET /impression", "GET /click", "POST /openrtb2/event"), start=1):
        assert len((await read(api, f"/v1/auctions/{auction.id}", tokens[name]))["engagements"]) >= seen
    story = await read(api, f"/v1/auctions/{auction.id}", tokens["POST /v1/auctions/{id}/void"])
    assert "voided" in [each["verdict"] for each in story["engagements"]]

    async with api.http.get(f"/ad?placement={one.placement['id']}") as answer:
        shown, tokens["GET /ad"] = answer.headers["Gavel-Auction"], answer.headers["Gavel-Token"]
    await read(api, f"/v1/auctions/{shown}", tokens["GET /ad"])

    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    closed = await ask(api, "POST", f"/v1/ledger/days/{yesterday}/close")
    assert closed.body == {"day": yesterday, "partitions": 3}
    tokens["POST /v1/ledger/days/{id}/close"] = closed.headers["Gavel-Token"]
    assert len(positions_of([closed.headers["Gavel-Token"]])) == closed.body["partitions"]
    report = await read(api, "/v1/reports/ledger", closed.headers["Gavel-Token"])
    assert report["closed_through"] == yesterday
    return tokens


async def of_the_catalogue(api: RunningApi, one: Seller, other: Buyer) -> Tokens:
    """Every command of every kind."""
    bidder = await registered(api, "bidders", {"name": "Northwind", "endpoint": "http://127.0.0.1:9/bid"})
    ids = (one.publisher, one.placement, bidder, other.advertiser, other.campaign)
    feed_client = await registered(api, "feed-clients", {"name": f"data {bidder['id']}"})
    market = Market(*(each["id"] for each in ids), feed_client["name"])
    tokens: Tokens = {}

    def note(name: str, answer: Answer) -> Answer:
        assert answer.status in (200, 201), answer.body
        tokens[name] = answer.headers["Gavel-Token"]
        return answer

    for kind in KINDS:
        made = note(f"POST /v1/{kind}", await ask(api, "POST", f"/v1/{kind}", terms_of(kind, market)))
        path = made.headers["Location"]
        note(f"PATCH /v1/{kind}/{{id}}", await ask(api, "PATCH", path, CHANGES[kind]))
        for move in ("pause", "resume", "archive"):
            note(f"POST /v1/{kind}/{{id}}/{move}", await ask(api, "POST", f"{path}/{move}"))
    key = {"name": "Reports", "role": "publisher", "subject_id": one.publisher["id"]}
    path = note("POST /v1/access-keys", await ask(api, "POST", "/v1/access-keys", key)).headers["Location"]
    for move in ("pause", "resume", "archive"):
        note(f"POST /v1/access-keys/{{id}}/{move}", await ask(api, "POST", f"{path}/{move}"))
    rate = {"base": "CHF", "quote": "USD", "rate": "1.11"}
    note("POST /v1/currency-rates", await ask(api, "POST", "/v1/currency-rates", rate))
    await ask(api, "POST", f"/v1/bidders/{bidder['id']}/archive")
    return tokens


async def of_feeds(api: RunningApi) -> Tokens:
    """Of a feed client's life, and of what it sends in it, which is looked up."""
    made = await ask(api, "POST", "/v1/feed-clients", {"name": f"data {uuid.uuid4()}"})
    feed = Feed(api, made.body["name"], made.body["id"])
    loaded = await feed.send("bulk", ndjson([record("a", n=1), record("b", n=1)]))
    assert await feed.record("a", after=loaded) == {"n": 1}
    changed = await feed.change({"op": "delete", "key": "b"})
    assert await feed.record("b", after=changed) is None
    path = made.headers["Location"]
    answers = {
        "POST /v1/feed-clients": made,
        "POST /v1/feeds/{id}/bulk": loaded,
        "POST /v1/feeds/{id}/changes": changed,
        "PATCH /v1/feed-clients/{id}": await ask(api, "PATCH", path, {"ttl_seconds": 60}),
    }
    for move in ("pause", "resume", "archive"):
        answers[f"POST /v1/feed-clients/{{id}}/{move}"] = await ask(api, "POST", f"{path}/{move}")
    return {name: answer.headers["Gavel-Token"] for name, answer in answers.items()}


async def test_every_query_says_how_old_its_answer_is(api: RunningApi, auction: Auction) -> None:
    """Of lists, reports, single things, and where there is none; reports say it in their body as well."""
    one, other = await seller(api, "Lag"), await buyer(api, "Lagbuyer")
    key = await issued(api, "admin")
    ids = {
        "publishers": one.publisher["id"],
        "placements": one.placement["id"],
        "advertisers": other.advertiser["id"],
        "campaigns": other.campaign["id"],
        "ads": other.ad["id"],
        "access-keys": key.id,
        "auctions": auction.id,
    }
    asked = set()
    for name, operation in (await documented(api)).items():
        if not answers_with(operation, "Gavel-Lag"):
            continue
        asked.add(name)
        path = name.removeprefix("GET ")
        for thing in {ids.get(path.split("/")[2], "none-such"), "none-such"} if "{id}" in path else {""}:
            answer = await ask(api, "GET", path.replace("{id}", thing))
            assert answer.status in ((404,) if thing == "none-such" else (200, 404)), (name, answer.body)
            lag = answer.headers["Gavel-Lag"]
            assert lag == "unknown" or int(lag) >= 0, name
            if "/reports/" in path:
                assert answer.body["lag"] == (None if lag == "unknown" else int(lag)), name
    assert len(asked) > len(ids)


async def test_a_budget_is_waited_for_in_redis_as_well(api: RunningApi) -> None:
    """It stands in two read models: each is waited for, in one time, if it reads the topic of the token."""
    campaign = (await buyer(api, "Waiting")).campaign
    path, names = f"/v1/campaigns/{campaign['id']}/budget", api.services.names
    async with api.http.post("/openrtb2/auction", json=bid_request()) as held:
        token = held.headers["Gavel-Token"]
    answer = await ask(api, "GET", path, Gavel_Token=token, Prefer="wait=20")
    assert (answer.status, answer.headers["Preference-Applied"]) == (200, "wait=20")
    for topic, projection in ((names.catalogue, "catalogue"), (names.engagements, "budgets")):
        answer = await ask(api, "GET", path, Gavel_Token=f"{topic}/0/999999999", Prefer="wait=0")
        assert (answer.status, answer.body["type"]) == (503, "/problems/not-yet")
        assert answer.body["detail"].startswith(projection)
        assert (answer.headers["Preference-Applied"], answer.headers["Retry-After"]) == ("wait=0", "1")


async def test_a_wait_is_bounded(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is preferred, the answer says how long is waited at most, and comes after that."""
    monkeypatch.setattr("api.read.waiting.WAIT_MAX_S", 1)
    token = f"{api.services.names.catalogue}/0/999999999"
    for wait in ("86400", "1000000", "0" * 9 + "1", "9" * 5_000):
        answer = await ask(api, "GET", "/v1/bidders", Gavel_Token=token, Prefer=f"wait={wait}")
        assert (answer.status, answer.headers["Preference-Applied"]) == (503, "wait=1")
        assert int(answer.headers["Gavel-Lag"]) >= 0


def test_a_token_of_several_positions() -> None:
    """It names each partition once, with the last of its offsets, and is read as it was written."""
    marks = [Position("shop.engagements", 0, 5), Position("shop.engagements", 2, 7), Position("shop.engagements", 0, 4)]
    token = token_of(*marks, Position("shop.auctions", 1, 9))
    assert token == "shop.engagements/0/5,2/7,shop.auctions/1/9"
    assert positions_of([token]) == [marks[0], marks[1], Position("shop.auctions", 1, 9)]
    assert positions_of(["shop.auctions/1/9", "shop.engagements/0/5"]) == [Position("shop.auctions", 1, 9), marks[0]]
    assert token_of(marks[0], Position("shop.engagements", 1, -1)) == ""


@pytest.mark.parametrize(
    "token", ["", ",", "1/2", "a/1/2,", "a/1/2,b", "a/1/-1", "a/1/2;1/3", "a/1/2," * POSITIONS_MAX]
)
def test_a_token_that_cannot_be(token: str) -> None:
    """It is refused whole."""
    with pytest.raises(InvalidInput):
        positions_of([token])


async def documented(api: RunningApi) -> Mapping[str, dict[str, Any]]:
    """Every operation, under the name by which access rules know it."""
    async with api.http.get("/schema") as response:
        document = await response.json(content_type=None)
    named = ((name.split(" "), operation) for name, operation in operations(document).items())
    return {rule_name(method.upper(), path): operation for (method, path), operation in named}


def answers_with(operation: dict[str, Any], header: str) -> bool:
    """Whether each answer of success promises it."""
    promises = [
        header in each.get("headers", {}) for status, each in operation["responses"].items() if status[0] in "23"
    ]
    assert promises
    assert len(set(promises)) == 1
    return promises[0]


async def read(api: RunningApi, path: str, token: str) -> dict[str, Any]:
    """What a query answers that waits for the token."""
    answer = await ask(api, "GET", path, Gavel_Token=token, Prefer="wait=30")
    assert answer.status == 200, answer.body
    body: dict[str, Any] = msgspec.convert(answer.body, dict)
    return body
