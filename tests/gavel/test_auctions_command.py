"""`gavel auctions` on a real log: what a person or a script sees, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest

from domain.events import BidPlaced, Event
from domain.names import Names
from gavel.process_clock import fresh_id
from tests.domain.test_replay import Story, offered
from tests.gavel.shell import Shell
from tests.projections.traffic import Log


def auctions_shell(
    kafka_url: str, names: Names, data: Path, *, servers: Mapping[str, str] = MappingProxyType({})
) -> Shell:
    """For `gavel auctions` beside one log."""
    here = {"GAVEL_KAFKA_URL": kafka_url, "GAVEL_NAMESPACE": names.namespace, "GAVEL_DATA": str(data)}
    return Shell("auctions", {**servers, **here})


@pytest.fixture
def shell(kafka_url: str, names: Names, tmp_path: Path) -> Shell:
    return auctions_shell(kafka_url, names, tmp_path)


def duel(auction_id: str) -> list[Event]:
    """2.50 against 1.24: the winner pays 1.25."""
    story = Story(auction_id)
    story.requested(offered())
    story.placed("1", "cheap", 1_240_000)
    story.placed("1", "dear", 2_500_000)
    story.awarded("1", ("dear", "cheap"), 2_500_000, 1_250_000)
    return story.events


def with_another_bid(events: list[Event]) -> list[Event]:
    """The same log with a second bid that would have made the winner pay more."""
    return [
        msgspec.structs.replace(each, price_micros=2_000_000)
        if isinstance(each, BidPlaced) and each.bidder_id == "cheap"
        else each
        for each in events
    ]


async def test_one_auction_is_decided_again(shell: Shell, kafka_url: str, names: Names) -> None:
    """Found by its id alone in a log of several partitions, and told in one line per imp."""
    ids = [fresh_id() for _ in range(8)]
    async with Log(kafka_url, names) as log:
        for each in ids:
            await log.append(duel(each))
    told = await shell("replay", ids[5])
    assert told.code == 0, told.err
    assert told.out.splitlines() == ["Imp 1: won by dear, which bid 2.50 and pays 1.25 USD.", "The log says the same."]


async def test_an_award_that_does_not_follow_from_its_bids(shell: Shell, kafka_url: str, names: Names) -> None:
    """Both figures are told, and the exit code is 1, for one auction and for the whole log alike."""
    right, wrong = fresh_id(), fresh_id()
    async with Log(kafka_url, names) as log:
        await log.append([*duel(right), *with_another_bid(duel(wrong))])
    told = await shell("replay", wrong)
    assert told.code == 1
    assert "imp 1: clearing_price_micros is logged as 1250000, decided again as 2010000" in told.out
    code, everything = await shell.json("replay", "--all")
    assert (code, everything["same"]) == (1, False)
    assert (everything["auctions"], everything["sold"], everything["mismatches"]) == (2, 2, 1)
    assert [each["auction_id"] for each in everything["failures"]] == [wrong]


async def test_the_whole_log_gives_the_same_digest_twice(shell: Shell, kafka_url: str, names: Names) -> None:
    """Two processes agree; an auction without an end is counted beside, and a broken event is named."""
    unfinished = fresh_id()
    async with Log(kafka_url, names) as log:
        for _ in range(20):
            await log.append(duel(fresh_id()))
        await log.append(duel(unfinished)[:-1])
        runs = [await shell.json("replay", "--all") for _ in range(2)]
        assert [code for code, _ in runs] == [0, 0]
        assert runs[0][1]["digest"] == runs[1][1]["digest"] != "0" * 32
        assert (runs[0][1]["auctions"], runs[0][1]["mismatches"], runs[0][1]["undecided"]) == (20, 0, 1)
        await log.append_bytes(names.auctions, unfinished, b'{"type":"no_such_event"}')
    told = await shell("replay", "--all")
    assert told.code == 1
    assert "Events that cannot be understood: 1." in told.out
    assert "no_such_event" in told.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("replay",), "wants the id of one auction, or --all"),
        (("replay", "0193a1f0-5c00-7d3e-9a41-6b1f0c2d7e01", "--all"), "wants the id of one auction, or --all"),
        (("replay", "nonsense"), "'nonsense' is not the id of an auction"),
        (("replay", "0193a1f0-5c00-7d3e-9a41-6b1f0c2d7e01"), "there is no auction 0193a1f0"),
    ],
)
async def test_questions_that_have_no_answer(shell: Shell, words: tuple[str, ...], complaint: str) -> None:
    """One line says what is wrong."""
    told = await shell(*words)
    assert told.code == 1
    assert complaint in told.err
    assert "Traceback" not in told.err
