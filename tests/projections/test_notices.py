"""The outbox of notices: what comes into it, once, and how several notifiers share it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import asyncpg
import pytest

from domain.errors import Refusal
from domain.limits import NOTICE_HOSTS_PER_BIDDER_MAX, NOTICES_PER_HOST_MAX
from domain.notices import Receiver
from projections.day_partitions import partition_name
from projections.notice_outbox import NoticeOutbox
from projections.rebuild import rebuild
from tests.projections.conftest import ReadSide
from tests.projections.notice_story import NoticeStory

WINNER, LOSER = "https://winner.example", "https://loser.example"
NURL, BURL = f"{WINNER}/win?p=0.91&m=0.90&l=0", f"{WINNER}/bill?p=0.91&m=0.90&l=0"
LURL = f"{LOSER}/loss?p=&m=0.91&l=102"
MANY_HOSTS = """
INSERT INTO notices (day, auction_id, outcome_id, place, kind, imp_id, bidder_id, bid_id, host, url, due_at)
SELECT day, auction_id, gen_random_uuid(), place, kind, imp_id, bidder_id, bid_id, number || host, url, due_at
FROM notices CROSS JOIN generate_series(2, $1::integer) AS number WHERE bidder_id = 'winner'
"""


@pytest.fixture
async def outbox(read_side: ReadSide) -> AsyncIterator[NoticeOutbox]:
    async with asyncpg.create_pool(read_side.addresses.postgres_url, min_size=0, max_size=4) as pool:
        yield NoticeOutbox(pool)


async def waiting(read_side: ReadSide) -> list[str]:
    """Every address in the outbox."""
    return [row["url"] for row in await read_side.fetch("SELECT url FROM notices ORDER BY url")]


async def test_an_award_tells_winner_and_losers(read_side: ReadSide) -> None:
    """Prices are filled; billing waits for the impression."""
    story = NoticeStory(WINNER, LOSER)
    await read_side.log.append(story.auction)
    await read_side.run_to_the_end("notices")
    assert await waiting(read_side) == [LURL, NURL]
    await read_side.log.append([story.impression(), story.impression()])
    await read_side.run_to_the_end("notices")
    assert await waiting(read_side) == [LURL, BURL, NURL]


@pytest.mark.parametrize("cuts", [(0, 4), (0, 1, 4), (0, 2, 3, 4), (0, 1, 2, 3, 4)])
async def test_whatever_comes_first(read_side: ReadSide, cuts: tuple[int, ...]) -> None:
    """An impression that is read before its auction, and an auction in pieces, give the same notices, once."""
    story = NoticeStory(WINNER, LOSER)
    await read_side.log.append([story.impression()])
    await read_side.run_to_the_end("notices")
    async with read_side.running("notices"):
        for start, end in pairwise(cuts):
            await read_side.log.append(story.auction[start:end])
            await read_side.caught_up("notices")
    assert await waiting(read_side) == [LURL, BURL, NURL]


async def test_two_workers_do_not_miss_each_other(read_side: ReadSide) -> None:
    """Auctions and impressions that two projectors apply at the same time give every notice, once."""
    stories = [NoticeStory(f"{WINNER}/{number}", LOSER) for number in range(60)]
    async with read_side.running("notices"), read_side.running("notices"):
        await asyncio.gather(
            *(read_side.log.append([*each.auction, each.impression()]) for each in stories[::2]),
            *(read_side.log.append([each.impression(), *each.auction]) for each in stories[1::2]),
        )
        await read_side.caught_up("notices")
    count = await read_side.fetch("SELECT kind, count(*), count(DISTINCT url) FROM notices GROUP BY kind ORDER BY kind")
    assert [tuple(each) for each in count] == [("billing", 60, 60), ("loss", 60, 1), ("win", 60, 60)]


async def test_old_news_is_none(read_side: ReadSide) -> None:
    """What happened more than a day ago calls nobody, and leaves no trace."""
    await read_side.log.append(NoticeStory(WINNER, LOSER, age=timedelta(hours=25)).auction)
    await read_side.log.append(NoticeStory(WINNER, LOSER, age=timedelta(hours=23)).auction)
    await read_side.run_to_the_end("notices")
    assert await waiting(read_side) == [LURL, NURL]
    assert len(await read_side.fetch("SELECT FROM notice_sources")) == 1


async def test_old_days_are_forgotten(read_side: ReadSide, outbox: NoticeOutbox) -> None:
    """A week is kept; an impression of an ad from before that leads nowhere, and does no harm."""
    today = datetime.now(UTC).date()
    for table in ("notices", "notice_sources"):
        for day in (today - timedelta(days=9), today - timedelta(days=6)):
            bounds = f"FROM ('{day}') TO ('{day + timedelta(days=1)}')"
            partition = partition_name(table, day)
            await read_side.fetch(f"CREATE TABLE {partition} PARTITION OF {table} FOR VALUES {bounds}")
    await outbox.forget_old_days()
    old, kept = [NoticeStory(WINNER, LOSER, age=timedelta(days=each), aged_id=True) for each in (9, 6)]
    await read_side.log.append([old.impression(at=datetime.now(UTC)), kept.impression(at=datetime.now(UTC))])
    await read_side.run_to_the_end("notices")
    assert [row[0] for row in await read_side.fetch("SELECT auction_id::text FROM notice_sources")] == [kept.auction_id]
    assert await read_side.fetch("SELECT FROM dead_letters") == []
    assert len(await read_side.fetch("SELECT FROM pg_inherits WHERE inhparent = 'notices'::regclass")) == 1


async def test_it_is_never_rebuilt(read_side: ReadSide) -> None:
    """A rebuild would send everything again: it is refused, saying so, and nothing is changed."""
    await read_side.log.append(NoticeStory(WINNER, LOSER).auction)
    await read_side.run_to_the_end("notices")
    with pytest.raises(Refusal, match="never rebuilt: its notices would be sent to the bidders once more"):
        await rebuild(read_side.addresses, "notices")
    assert await waiting(read_side) == [LURL, NURL]


async def test_a_notice_has_one_notifier(read_side: ReadSide, outbox: NoticeOutbox) -> None:
    """What one has claimed no other gets, until its lease ends; then it gets the second attempt."""
    await read_side.log.append(NoticeStory(WINNER, LOSER).auction)
    await read_side.run_to_the_end("notices")
    claims = await asyncio.gather(*(outbox.claim({}, at_most=1) for _ in range(4)))
    assert sorted(each.notice.url for claim in claims for each in claim) == [LURL, NURL]
    assert {each.attempt for claim in claims for each in claim} == {1}
    assert await outbox.claim({}, at_most=10) == []
    await read_side.fetch("UPDATE notices SET due_at = due_at - interval '1 minute'")
    assert {each.attempt for each in await outbox.claim({}, at_most=10)} == {2}


async def test_a_notice_ends_or_comes_again(read_side: ReadSide, outbox: NoticeOutbox) -> None:
    """A delivered one is not claimed again, a retry when it is due."""
    await read_side.log.append(NoticeStory(WINNER, LOSER).auction)
    await read_side.run_to_the_end("notices")
    by_kind = {each.notice.key.kind: each.notice for each in await outbox.claim({}, at_most=10)}
    await outbox.settle({by_kind["win"].key: True}, {by_kind["loss"].key: 0.0})
    [again] = await outbox.claim({}, at_most=10)
    assert again.notice == by_kind["loss"]
    assert again.attempt == 2
    await outbox.settle({}, {again.notice.key: 60.0})
    assert await outbox.claim({}, at_most=10) == []
    await outbox.settle({again.notice.key: False}, {})
    ended = await read_side.fetch("SELECT kind, delivered, due_at FROM notices ORDER BY kind")
    assert [tuple(each) for each in ended] == [("loss", False, None), ("win", True, None)]


async def test_a_host_gets_no_more_than_its_share(read_side: ReadSide, outbox: NoticeOutbox) -> None:
    """However much waits for one host of a bidder, its others get their turn, and calls under way count."""
    await read_side.log.append([event for _ in range(50) for event in NoticeStory(WINNER, WINNER).auction])
    await read_side.log.append(NoticeStory(LOSER, LOSER).auction)
    await read_side.run_to_the_end("notices")
    under_way = {Receiver("winner", "winner.example:443"): 3}
    receivers = Counter(each.notice.receiver for each in await outbox.claim(under_way, at_most=100))
    assert receivers == {
        ("winner", "winner.example:443"): NOTICES_PER_HOST_MAX - 3,
        ("loser", "winner.example:443"): NOTICES_PER_HOST_MAX,
        ("winner", "loser.example:443"): 1,
        ("loser", "loser.example:443"): 1,
    }


async def test_a_bidder_gets_no_more_than_its_share(read_side: ReadSide, outbox: NoticeOutbox) -> None:
    """However many hosts a bidder names, the others get their turn, and its calls under way count, at any host."""
    stories = [NoticeStory(f"https://{number}.winner.example", LOSER) for number in range(50)]
    await read_side.log.append([event for each in stories for event in each.auction])
    await read_side.run_to_the_end("notices")
    under_way = {Receiver("winner", "elsewhere.example:443"): 9, Receiver("winner", "0.winner.example:443"): 3}
    bidders = Counter(each.notice.bidder_id for each in await outbox.claim(under_way, at_most=16))
    assert bidders["winner"] <= 4
    under_way[Receiver("winner", "1.winner.example:443")] = 4
    bidders = Counter(each.notice.bidder_id for each in await outbox.claim(under_way, at_most=16))
    assert bidders["winner"] == 0
    assert 0 < bidders["loser"] <= NOTICES_PER_HOST_MAX


async def test_a_bidder_that_names_very_many_hosts_makes_no_claim_longer(
    read_side: ReadSide, outbox: NoticeOutbox
) -> None:
    """Only so many of them are looked at; each of its notices gets its turn all the same."""
    await read_side.log.append(NoticeStory(WINNER, LOSER).auction)
    await read_side.run_to_the_end("notices")
    await read_side.fetch(MANY_HOSTS, NOTICE_HOSTS_PER_BIDDER_MAX + 100)
    claims = [await outbox.claim({}, at_most=1_000) for _ in range(3)]
    bidders = [Counter(each.notice.bidder_id for each in claim) for claim in claims]
    assert bidders == [{"winner": NOTICE_HOSTS_PER_BIDDER_MAX, "loser": 1}, {}, {}]
    for _ in range(2):
        await outbox.settle({each.notice.key: True for each in claims[0]}, {})
        claims[0] = await outbox.claim({}, at_most=1_000)
    assert claims[0] == []
