"""When batches leave for their brokers."""

from __future__ import annotations

import asyncio

import pytest

from commands.kafka_departures import Departures


class Traveller:
    """Goes to one broker, and notes that it was let go."""

    def __init__(self, broker: int) -> None:
        self.broker = broker
        self.left = asyncio.Event()

    def flush(self) -> None:
        self.left.set()


class Station:
    """Departures, and the brokers that have not answered yet."""

    def __init__(self) -> None:
        self.busy: set[int | None] = set()
        self.departures: Departures[Traveller] = Departures(lambda each: each.broker, lambda: self.busy)


@pytest.fixture
def station() -> Station:
    return Station()


async def test_all_that_came_during_the_linger_leave_together(station: Station) -> None:
    """Nobody leaves before the linger is over, and then everybody does in the same turn of the loop."""
    travellers = [Traveller(1), Traveller(2), Traveller(1)]
    for traveller in travellers:
        station.departures.after_linger(traveller)
    await asyncio.sleep(0)
    assert not any(traveller.left.is_set() for traveller in travellers)
    await travellers[0].left.wait()
    assert all(traveller.left.is_set() for traveller in travellers)


async def test_a_busy_broker_keeps_only_its_own_waiting(station: Station) -> None:
    """Others leave; its own leave as soon as it has answered."""
    station.busy = {1}
    held, free = Traveller(1), Traveller(2)
    station.departures.after_linger(held)
    station.departures.after_linger(free)
    await free.left.wait()
    assert not held.left.is_set()
    station.busy = set()
    station.departures.answered()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert held.left.is_set()


async def test_a_request_that_is_stuck_does_not_hold_for_ever(station: Station) -> None:
    """When the broker no longer counts as busy, its travellers leave without any answer."""
    station.busy = {1}
    held = Traveller(1)
    station.departures.at_once(held)
    asyncio.get_running_loop().call_later(0.03, station.busy.clear)
    async with asyncio.timeout(5):
        await held.left.wait()
