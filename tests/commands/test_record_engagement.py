"""Engagements on real Kafka and Redis: every hit is in the log with the verdict that a person would give it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from redis.asyncio import Redis

from commands.engagement_rates import EngagementRates
from commands.kafka_log import KafkaLog
from commands.ports import Clock, EventLog
from commands.record_engagement import RecordEngagement, Reporter
from commands.redis_pipeline import RedisPipeline
from commands.seen import CLAIM_WAIT_SECONDS, SeenInRedis
from commands.spool import SpooledLog
from commands.traffic_lists import TrafficLists
from domain.access import Caller
from domain.direct.budget import Uncharged
from domain.errors import InvalidToken, LogUnavailable
from domain.limits import (
    CLICK_EXPIRY_SECONDS,
    CLICKS_PER_IP_AND_AD_MINUTE_MAX,
    ENGAGEMENTS_PER_IP_MINUTE_MAX,
    IMPRESSION_EXPIRY_SECONDS,
)
from domain.names import Names
from domain.privacy import pseudonym
from domain.tokens import EngagementClaims, TokenKey, expires_at, sign
from domain.traffic_lists import networks, user_agent_patterns
from gavel.process_clock import SystemClock, fresh_id
from tests.commands.eventually import eventually
from tests.commands.topic_content import read_topic

KEY = TokenKey.of(b"0123456789abcdef")
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
OWN = "127.0.0.1"
ADDRESS_KEY = b"hides addresses in Redis"
VIEWER = "203.0.113.7"
CLOUD = "192.0.2.77"
HOUSEHOLD = "2001:db8:1:2:"
SERVER = "192.0.2.80"
STRANGER = Reporter(SERVER, None)
PUBLISHER = Reporter(SERVER, Caller(key_id="k-1", name="Herald", role="publisher", subject_id="pub-1"))
OPERATOR = Reporter(SERVER, Caller(key_id=None, name="the operator", role="admin", subject_id=None))
RIVAL = Reporter(SERVER, Caller(key_id="k-2", name="Tribune", role="publisher", subject_id="pub-2"))


STARTED = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
"""The beginning of this hour: windows of a minute do not end meanwhile, and Redis forgets by its own clock."""


class StandingClock(SystemClock):
    """It is always the same time."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at


class Recorder:
    """The command beside a plain reader of what it has logged."""

    def __init__(self, kafka_url: str, names: Names, redis: Redis, log: EventLog) -> None:
        self.kafka_url = kafka_url
        self.names = names
        self.redis = redis
        self.log = log
        self.lists = TrafficLists()
        self.uncharged: Uncharged | None = None
        """Why a click is not charged, where it is not."""
        self.free: list[Uncharged] = []
        """What it was told of clicks that are logged as free."""
        self.charged: list[str | None] = []
        """The campaigns whose budget was asked for a click."""
        self.record = self.another()

    def another(self, clock: Clock | None = None) -> RecordEngagement:
        """A second process, as far as this one can tell: it shares nothing but Kafka and Redis."""
        pipeline = RedisPipeline(self.redis, timeout_s=30.0)
        return RecordEngagement(
            log=self.log,
            names=self.names,
            seen=SeenInRedis(pipeline, self.names),
            rates=EngagementRates(pipeline, self.names, is_unlimited=OWN.__eq__, address_key=lambda: ADDRESS_KEY),
            lists=lambda: self.lists,
            charge_click=self._charge,
            not_charged=self.free.append,
            clock=clock or SystemClock(),
            ids=fresh_id,
            keys=[KEY],
        )

    async def _charge(self, claims: EngagementClaims, _at: datetime) -> Uncharged | None:
        self.charged.append(claims.campaign_id)
        return self.uncharged

    async def logged(self) -> list[dict[str, Any]]:
        return [each.event for each in await read_topic(self.kafka_url, self.names.engagements)]


@pytest.fixture
async def recorder(kafka_url: str, redis_url: str, names: Names) -> AsyncIterator[Recorder]:
    log = KafkaLog(kafka_url, names.topics)
    await log.start()
    async with Redis.from_url(redis_url) as redis:
        yield Recorder(kafka_url, names, redis, log)
    await log.close()


def token(kind: str = "impression", **changes: Any) -> str:
    """A token as an award puts it into the markup."""
    now = datetime.now(UTC)
    claims = {
        "kind": kind,
        "auction_id": fresh_id(),
        "imp_id": "1",
        "bidder_id": "b",
        "bid_id": "x",
        "price_micros": 2_000_000,
        "clearing_price_micros": 1_500_000,
        "revenue_micros": 1_200_000,
        "currency": "USD",
        "awarded_at": now,
        "expires_at": expires_at(now, 3_600),
        "landing_url": "https://shop.example/" if kind == "click" else None,
    }
    return sign(EngagementClaims(**{**claims, **changes}), KEY)


async def test_a_second_hit_is_a_duplicate(recorder: Recorder) -> None:
    """The first hit counts, the second is recorded beside it, on another process too."""
    pixel = token()
    verdicts = [(await recorder.record.impression(pixel, ip=OWN, user_agent=BROWSER)).verdict for _ in range(2)]
    verdicts.append((await recorder.another().impression(pixel, ip=OWN, user_agent=BROWSER)).verdict)
    assert verdicts == ["valid", "duplicate", "duplicate"]
    logged = await recorder.logged()
    assert [each["verdict"] for each in logged] == verdicts
    assert {each["type"] for each in logged} == {"impression_recorded"}
    assert {(each["clearing_price_micros"], each["revenue_micros"], each["fee_micros"]) for each in logged} == {
        (1_500_000, 1_200_000, 300_000)
    }


async def test_the_viewer_is_kept_for_a_billing_notice_alone(recorder: Recorder) -> None:
    """Only of the impression that counts, where the bidder asked for the notice; and never the whole address."""
    hits = [token(wants_billing_notice=True), token(), token(wants_billing_notice=True, expires_at=1)]
    for hit in (*hits, hits[0]):
        await recorder.record.impression(hit, ip=VIEWER, user_agent=BROWSER + "\x7f")
    await recorder.record.click(token("click", wants_billing_notice=True), ip=VIEWER, user_agent=BROWSER)
    logged = await recorder.logged()
    viewers = [each["viewer"] for each in logged if "viewer" in each]
    assert len(logged) == 5
    assert viewers == [{"ip": "203.0.113.0", "user_agent": BROWSER}]


async def test_two_nodes_at_once(recorder: Recorder) -> None:
    """Of hits that arrive everywhere at the same moment exactly one counts."""
    pixel = token()
    nodes = [recorder.another() for _ in range(8)]
    impressions = await asyncio.gather(*(node.impression(pixel, ip=OWN, user_agent=BROWSER) for node in nodes))
    assert Counter(each.verdict for each in impressions) == {"valid": 1, "duplicate": 7}


async def test_a_claim_whose_process_died_does_not_lose_the_impression(recorder: Recorder) -> None:
    """A hit that finds a claim without an event waits a moment, and then counts."""
    auction_id = fresh_id()
    await recorder.redis.set(recorder.names.engagement_key("impression", auction_id, "1"), "claimed", ex=10)
    started = asyncio.get_running_loop().time()
    verdict, _ = await recorder.record.impression(token(auction_id=auction_id), ip=OWN, user_agent=BROWSER)
    assert verdict == "valid"
    assert asyncio.get_running_loop().time() - started >= CLAIM_WAIT_SECONDS


@pytest.mark.parametrize(
    ("changes", "ip", "user_agent", "verdict", "ivt"),
    [
        ({"expires_at": 1}, OWN, BROWSER, "expired", None),
        ({"test": True}, OWN, BROWSER, "test", None),
        ({}, OWN, ROBOT, "bot", "robot"),
        ({}, OWN, "HouseCrawler/1 Mozilla/5.0", "bot", "robot"),
        ({}, OWN, "", "bot", "not_a_browser"),
        ({}, OWN, "  ", "bot", "not_a_browser"),
        ({}, OWN, "my script", "bot", "not_a_browser"),
        ({}, CLOUD, BROWSER, "bot", "data_centre"),
        ({"agent": "iphone"}, OWN, BROWSER, "bot", "device_mismatch"),
        ({"expires_at": 1, "agent": "iphone"}, CLOUD, ROBOT, "expired", None),
        ({"agent": "iphone"}, CLOUD, ROBOT, "bot", "robot"),
        ({"agent": "iphone"}, CLOUD, BROWSER, "bot", "data_centre"),
    ],
)
async def test_what_does_not_count_is_recorded(
    recorder: Recorder, *, changes: dict[str, Any], ip: str, user_agent: str, verdict: str, ivt: str | None
) -> None:
    """Hits that do not count are in the log with the first reason, and do not use up the one that does."""
    recorder.lists = TrafficLists(
        robots=user_agent_patterns("^HouseCrawler", "robots"), data_centres=networks(f"{CLOUD}/32", "clouds")
    )
    auction_id = fresh_id()
    hit = token(auction_id=auction_id, **changes)
    assert (await recorder.record.impression(hit, ip=ip, user_agent=user_agent)).verdict == verdict
    assert (
        await recorder.record.impression(token(auction_id=auction_id), ip=OWN, user_agent=BROWSER)
    ).verdict == "valid"
    first, _ = await recorder.logged()
    assert first["reason"]
    assert first.get("ivt") == ivt


async def test_a_list_of_browsers_stands_in_place_of_those_that_are_known(recorder: Recorder) -> None:
    """What the operator's list does not have is no browser, whatever it says of itself; robots stay robots."""
    recorder.lists = TrafficLists(browsers=user_agent_patterns("^Kiosk/\\d\nGooglebot", "browsers"))
    agents = ("Kiosk/3", BROWSER, ROBOT)
    verdicts = [(await recorder.record.impression(token(), ip=OWN, user_agent=each)).verdict for each in agents]
    assert verdicts == ["valid", "bot", "bot"]
    assert [each.get("ivt") for each in await recorder.logged()].count("not_a_browser") == 1


async def test_too_many_from_one_address(recorder: Recorder) -> None:
    """Past its share of a minute a viewer's address is limited; one of our own, or that nobody knows, is not."""
    key = recorder.names.rate_key
    minute = int(datetime.now(UTC).timestamp()) // 60
    for near in (minute, minute + 1):
        await recorder.redis.set(key("engagements", pseudonym(ADDRESS_KEY, ""), near), ENGAGEMENTS_PER_IP_MINUTE_MAX)
        await recorder.redis.set(
            key("engagements", pseudonym(ADDRESS_KEY, VIEWER), near), ENGAGEMENTS_PER_IP_MINUTE_MAX
        )
    assert (await recorder.record.impression(token(), ip=VIEWER, user_agent=BROWSER)).verdict == "rate_limited"
    assert (await recorder.record.impression(token(), ip="203.0.113.8", user_agent=BROWSER)).verdict == "valid"
    assert (await recorder.record.impression(token(), ip="", user_agent=BROWSER)).verdict == "valid"
    assert (await recorder.record.impression(token(), ip=OWN, user_agent=BROWSER)).verdict == "valid"


async def test_too_many_on_one_ad(recorder: Recorder) -> None:
    """A household that clicks one ad again and again is limited for that ad; other ads and households are not."""
    at = STARTED
    record = recorder.another(StandingClock(at))

    async def click(ad_id: str | None, host: str) -> str:
        clicked = token("click", ad_id=ad_id, awarded_at=at, expires_at=expires_at(at, CLICK_EXPIRY_SECONDS))
        return (await record.click(clicked, ip=host, user_agent=BROWSER)).verdict

    hits = [await click("ad-1", f"{HOUSEHOLD}:{host}") for host in range(CLICKS_PER_IP_AND_AD_MINUTE_MAX + 1)]
    assert hits == ["valid"] * CLICKS_PER_IP_AND_AD_MINUTE_MAX + ["rate_limited"]
    others = [("ad-2", f"{HOUSEHOLD}:1"), (None, f"{HOUSEHOLD}:1"), ("ad-1", "2001:db8:1:3::1"), ("ad-1", VIEWER)]
    assert [await click(*each) for each in others] == ["valid"] * 4
    logged = await recorder.logged()
    assert Counter(each.get("ivt") for each in logged) == {None: len(logged) - 1, "rate_ad": 1}


class Clicks:
    """Clicks on one ad of the publisher `pub-1`, all within a minute."""

    def __init__(self, recorder: Recorder) -> None:
        self._record = recorder.another(StandingClock(STARTED))

    async def fetched(self, ip: str, **changes: Any) -> str:
        user_agent = changes.pop("user_agent", BROWSER)
        return (await self._record.click(self._token(**changes), ip=ip, user_agent=user_agent)).verdict

    async def reported(self, by: Reporter, ip: str | None, **changes: Any) -> str:
        return (await self._record.reported(self._token(**changes), ip=ip, user_agent=BROWSER, by=by)).verdict

    def _token(self, **changes: Any) -> str:
        ends = expires_at(STARTED, CLICK_EXPIRY_SECONDS)
        told = {"ad_id": "ad-1", "publisher_id": "pub-1", "awarded_at": STARTED, "expires_at": ends}
        return token("click", **{**told, **changes})


FEW = [None] * CLICKS_PER_IP_AND_AD_MINUTE_MAX
"""As many as one address may make."""


async def test_what_does_not_count_uses_up_nobodys_share(recorder: Recorder) -> None:
    """A robot at an address, or addresses that are replayed after their end, do not keep out the person there."""
    clicks = Clicks(recorder)
    for changes in ({"test": True}, {"expires_at": 1}, {"user_agent": ROBOT}, {"agent": "iphone"}):
        assert "valid" not in [await clicks.fetched(VIEWER, **changes) for _ in FEW]
    assert [await clicks.fetched(VIEWER) for _ in FEW] == ["valid" for _ in FEW]
    assert await clicks.fetched(VIEWER) == "rate_limited"


@pytest.mark.parametrize("stranger", [STRANGER, RIVAL])
@pytest.mark.parametrize("stated", [VIEWER, OWN, None])
async def test_who_reports_without_being_believed_uses_up_its_own_share(
    recorder: Recorder, stranger: Reporter, stated: str | None
) -> None:
    """Whatever address it states: hits from there go on counting, its own do not, and none is exempt."""
    clicks = Clicks(recorder)
    assert [await clicks.reported(stranger, stated) for _ in FEW] == ["valid" for _ in FEW]
    assert await clicks.reported(stranger, stated) == "rate_limited"
    assert await clicks.reported(stranger, "203.0.113.99") == "rate_limited"
    assert await clicks.fetched(SERVER) == "rate_limited"
    assert await clicks.fetched(VIEWER) == "valid"


@pytest.mark.parametrize("believed", [PUBLISHER, OPERATOR])
async def test_who_is_believed_reports_for_many_viewers(recorder: Recorder, believed: Reporter) -> None:
    """Each stated address has a share of its own, which what its browser fetches knows nothing of."""
    clicks = Clicks(recorder)
    for viewer in (VIEWER, "203.0.113.8", OWN):
        assert [await clicks.reported(believed, viewer) for _ in FEW] == ["valid" for _ in FEW]
        assert await clicks.reported(believed, viewer) == "rate_limited"
        assert await clicks.fetched(viewer) == "valid"
    assert {await clicks.reported(believed, None) for _ in (*FEW, None)} == {"valid"}
    assert await clicks.fetched(SERVER) == "valid"


async def test_what_a_browser_only_fetches_ahead_of_time(recorder: Recorder) -> None:
    """Nobody has met the ad: it costs nothing, leads to its page, and the person's own hit counts afterwards."""
    paid: dict[str, Any] = {"auction_id": fresh_id(), "campaign_id": "camp-1", "charged_on": "click"}
    pixel, clicked = token(**paid), token("click", **paid)
    assert (await recorder.record.impression(pixel, ip=OWN, user_agent=BROWSER, is_ahead=True)).verdict == "bot"
    ahead = await recorder.record.click(clicked, ip=OWN, user_agent=BROWSER, is_ahead=True)
    assert (ahead.verdict, ahead.landing_url) == ("bot", "https://shop.example/")
    assert recorder.charged == []
    assert (await recorder.record.impression(pixel, ip=OWN, user_agent=BROWSER)).verdict == "valid"
    assert (await recorder.record.click(clicked, ip=OWN, user_agent=BROWSER)).verdict == "valid"
    told = [(each["ivt"], each["reason"]) for each in await recorder.logged() if "ivt" in each]
    assert told == [("not_a_browser", "The browser only fetched it ahead of time.")] * 2


async def test_what_the_campaigns_are_told_of(recorder: Recorder) -> None:
    """The event says whose ad was met by whom, in what size, and what it takes from the budget."""
    told: dict[str, Any] = {
        "advertiser_id": "adv-1",
        "campaign_id": "camp-1",
        "ad_id": "ad-1",
        "size": "300x250",
        "person": "a pseudonym",
        "charge_nanos": 1_500_000,
    }
    await recorder.record.impression(token(**told), ip=OWN, user_agent=BROWSER)
    [event] = await recorder.logged()
    assert {name: event[name] for name in told} == told
    assert "charged" not in event, "charged, and on the impression: the defaults are not written"
    assert recorder.charged == []


async def test_a_click_takes_from_the_budget_before_it_is_logged(recorder: Recorder) -> None:
    """Once, and only one that counts; where there is no room it counts, is free, and still leads to the page."""
    paid: dict[str, Any] = {"campaign_id": "camp-1", "charged_on": "click", "charge_nanos": 250_000_000}
    await recorder.record.impression(token(**paid), ip=OWN, user_agent=BROWSER)
    first = token("click", **paid)
    for user_agent in (ROBOT, BROWSER, BROWSER):
        await recorder.record.click(first, ip=OWN, user_agent=user_agent)
    await recorder.record.click(token("click", **paid, test=True), ip=OWN, user_agent=BROWSER)
    await recorder.record.click(token("click", campaign_id="camp-2"), ip=OWN, user_agent=BROWSER)
    assert recorder.charged == ["camp-1"]
    for why in get_args(Uncharged):
        recorder.uncharged = why
        free = await recorder.record.click(token("click", **paid), ip=OWN, user_agent=BROWSER)
        assert (free.verdict, free.landing_url) == ("valid", "https://shop.example/")
    assert recorder.free == ["no_budget", "budget_unknown"]
    logged = await recorder.logged()
    assert sorted(each["reason"] for each in logged if not each.get("charged", True)) == [
        "Not charged: the campaign's budget had no room for it.",
        "Not charged: what the campaign has spent was not known.",
    ]
    assert {each["charge_nanos"] for each in logged if each.get("charged_on") == "click"} == {250_000_000}


async def test_a_click_before_its_impression(recorder: Recorder) -> None:
    """A pixel may be slower than a finger: both count, in whatever order they come."""
    auction_id = fresh_id()
    click = await recorder.record.click(token("click", auction_id=auction_id), ip=OWN, user_agent=BROWSER)
    impression = await recorder.record.impression(token(auction_id=auction_id), ip=OWN, user_agent=BROWSER)
    assert (click.verdict, impression.verdict) == ("valid", "valid")


async def test_replays(recorder: Recorder) -> None:
    """A hit that comes again is a duplicate for as long as it could count, on every node, and expired after that."""
    auction_id, second = fresh_id(), timedelta(seconds=1)
    claims: dict[str, Any] = {"auction_id": auction_id, "awarded_at": STARTED}
    pixel = token(**claims, expires_at=expires_at(STARTED, IMPRESSION_EXPIRY_SECONDS))
    click = token("click", **claims, expires_at=expires_at(STARTED, CLICK_EXPIRY_SECONDS))
    hour, day = timedelta(seconds=IMPRESSION_EXPIRY_SECONDS), timedelta(seconds=CLICK_EXPIRY_SECONDS)
    expected = [(timedelta(), "valid", "valid"), (hour - second, "duplicate", "duplicate")]
    expected += [(hour, "expired", "duplicate"), (day - second, "expired", "duplicate"), (day, "expired", "expired")]
    for later, impression_is, click_is in expected:
        node = recorder.another(StandingClock(STARTED + later))
        assert (await node.impression(pixel, ip=OWN, user_agent=BROWSER)).verdict == impression_is
        assert (await node.click(click, ip=OWN, user_agent=BROWSER)).verdict == click_is
    key = recorder.names.engagement_key("click", auction_id, "1")
    assert await recorder.redis.ttl(key) >= CLICK_EXPIRY_SECONDS, "it is remembered until nobody can use it"


async def test_a_hit_while_the_log_is_away(recorder: Recorder, kafka_url: str, tmp_path: Path) -> None:
    """It is judged and remembered as ever, waits on the disk with all that it says, and is logged once."""
    away = KafkaLog("127.0.0.1:1", [recorder.names.engagements])
    spool = SpooledLog(away, tmp_path)
    await spool.start()
    offline = Recorder(kafka_url, recorder.names, recorder.redis, spool)
    pixel = token(person="a pseudonym", size="300x250", campaign_id="camp-1")
    agents = (ROBOT, BROWSER, BROWSER)
    verdicts = [(await offline.record.impression(pixel, ip=OWN, user_agent=each)).verdict for each in agents]
    await spool.close()
    assert verdicts == ["bot", "valid", "duplicate"]
    assert await recorder.logged() == []
    assert (await recorder.record.impression(pixel, ip=OWN, user_agent=BROWSER)).verdict == "duplicate"
    drained = SpooledLog(recorder.log, tmp_path)
    await drained.start()
    await eventually(lambda: drained.drained == 3, seconds=30)
    await drained.close()
    logged = await recorder.logged()
    assert sorted((each["verdict"], each.get("ivt")) for each in logged if each["verdict"] != "duplicate") == [
        ("bot", "robot"),
        ("valid", None),
    ]
    assert {(each["person"], each["size"], each["campaign_id"]) for each in logged} == {
        ("a pseudonym", "300x250", "camp-1")
    }


async def test_a_click_that_neither_log_nor_disk_takes(recorder: Recorder) -> None:
    """It is not counted, and counts when it is tried again."""
    click = token("click", campaign_id="camp-1", charged_on="click")
    refusing = Recorder(recorder.kafka_url, recorder.names, recorder.redis, KafkaLog("127.0.0.1:1", []))
    with pytest.raises(LogUnavailable):
        await refusing.record.click(click, ip=OWN, user_agent=BROWSER)
    assert (await recorder.record.click(click, ip=OWN, user_agent=BROWSER)).verdict == "valid"


async def test_a_click_leads_to_the_page_in_its_token(recorder: Recorder) -> None:
    """A click is recorded and redirected whatever its verdict; impression and click are counted apart."""
    auction_id = fresh_id()
    assert (
        await recorder.record.impression(token(auction_id=auction_id), ip=OWN, user_agent=BROWSER)
    ).verdict == "valid"
    click = token("click", auction_id=auction_id, awarded_at=datetime.now(UTC) - timedelta(minutes=5))
    first = await recorder.record.click(click, ip=OWN, user_agent=BROWSER)
    second = await recorder.record.click(click, ip=OWN, user_agent=ROBOT)
    assert (first.verdict, second.verdict) == ("valid", "bot")
    assert first.landing_url == second.landing_url == "https://shop.example/"


async def test_a_landing_page_is_told_the_id_of_its_click(recorder: Recorder) -> None:
    """The advertiser finds each click in the log by what its own books say."""
    page = "https://shop.example/?click=${CLICK_ID}&auction=${AUCTION_ID}"
    auction_id = fresh_id()
    click = token("click", auction_id=auction_id, landing_url=page)
    told = [(await recorder.record.click(click, ip=OWN, user_agent=BROWSER)).landing_url for _ in range(2)]
    told += [str((await recorder.record.reported(click, ip=VIEWER, user_agent=BROWSER, by=STRANGER)).landing_url)]
    logged = [event["id"] for event in await recorder.logged()]
    assert told == [f"https://shop.example/?click={each}&auction={auction_id}" for each in logged]


async def test_forged_tokens_leave_no_trace(recorder: Recorder) -> None:
    """Nothing in a forged, cut or misused token is believed: no event, and no redirect."""
    forged = sign(
        EngagementClaims(
            kind="click",
            auction_id="a",
            imp_id="1",
            bidder_id="b",
            bid_id="x",
            price_micros=1,
            clearing_price_micros=1,
            revenue_micros=1,
            currency="USD",
            awarded_at=datetime.now(UTC),
            expires_at=2**33,
            landing_url="https://evil.example/",
        ),
        TokenKey(KEY.id, b"another key, the same id"),
    )
    for bad in (forged, token("click")[:-3], token("impression"), "", "x" * 5_000):
        with pytest.raises(InvalidToken):
            await recorder.record.click(bad, ip=OWN, user_agent=BROWSER)
    for bad in (forged, token()[:-3], token("click")):
        assert (await recorder.record.impression(bad, ip=OWN, user_agent=BROWSER)).verdict == "forged"
    assert await recorder.logged() == []


async def test_redis_away_counts_and_leaves_the_judgement_to_postgres(kafka_url: str, names: Names) -> None:
    """With Redis away nobody is turned away: both hits are logged as valid, for the unique key to judge."""
    log = KafkaLog(kafka_url, names.topics)
    await log.start()
    async with Redis(port=1) as away:
        recorder = Recorder(kafka_url, names, away, log)
        pixel = token()
        assert [(await recorder.record.impression(pixel, ip=VIEWER, user_agent=BROWSER)).verdict for _ in range(2)] == [
            "valid",
            "valid",
        ]
        assert len(await recorder.logged()) == 2
    await log.close()
