"""The simulated viewers, in front of a server that does not always answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gavel.simulate.exchange_client import ExchangeClient
from gavel.simulate.figures import Observations
from gavel.simulate.inventory import viewer_at
from gavel.simulate.viewers import Award, Viewers

ADS = 200


@asynccontextmanager
async def counter_that_fails_at_first(failures: int) -> AsyncIterator[tuple[str, Counter[str]]]:
    """Its address, and the hits that it answered; each address is refused so many times before."""
    tries: Counter[str] = Counter()
    answered: Counter[str] = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        tries[target] += 1
        if tries[target] > failures:
            answered[target] += 1
            status = "200 OK" if target.startswith("/impression") else "302 Found"
            writer.write(f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        elif tries[target] % 2:
            writer.write(b"HTTP/1.1 503 Away\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", answered


async def show_ads(url: str) -> Observations:
    """Shows the same ads to the same people, until all have finished looking."""
    observations = Observations(keep_evidence=True)
    client = ExchangeClient(url)
    async with Viewers(client, observations, seed=1) as viewers:
        for n in range(ADS):
            markup = f'<a href="{url}/click?t=c{n}">ad</a><img src="{url}/impression?t=i{n}">'
            viewers.show(Award((f"a{n}", "1"), f"{n}/1", "swift", 1_000_000, markup, viewer_at(n / ADS), test=False))
    client.close()
    return observations


async def test_a_hit_is_repeated_until_it_is_answered() -> None:
    """What the viewers call answered is what the server answered, however often it failed before."""
    async with counter_that_fails_at_first(failures=2) as (url, answered):
        figures = (await show_ads(url)).figures
    impressions = {target for target in answered if target.startswith("/impression")}
    assert figures.impressions_gross + figures.clicks_gross == answered.total()
    assert 0 < len(impressions) < ADS, "not every ad is scrolled into view"
    assert 0 < figures.impressions < len(impressions), "robots are not people"
    assert figures.retries == 2 * len(answered)
    assert figures.unanswered_hits == figures.refused_hits == 0


async def test_the_same_people_do_the_same() -> None:
    """What is seen and clicked depends on the seed alone, not on the order of the answers."""
    async with counter_that_fails_at_first(failures=0) as (url, _):
        first, second = [(await show_ads(url)).evidence for _ in range(2)]
    assert first is not None
    assert second is not None
    assert sorted(first.impressions) == sorted(second.impressions)
    assert sorted(first.clicks) == sorted(second.clicks)
