"""Open-loop arrivals: what is due is asked for, answered or not what came before, and its time is counted from then."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

from gavel.simulate.exchange_client import Answer, ExchangeUnreachable
from gavel.simulate.figures import Observations


def poisson_gaps(rng: random.Random, rate: float, count: int) -> Iterator[float]:
    """Seconds between `count` arrivals that come `rate` times a second on average."""
    return (rng.expovariate(rate) for _ in range(count))


async def at_arrivals(gaps: Iterator[float], ask: Callable[[float], Coroutine[Any, Any, None]]) -> None:
    """Starts a task after each gap (seconds), then waits for all; each is told when it was due, on the loop's clock."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    async with asyncio.TaskGroup() as asking:
        for gap in gaps:
            due += gap
            await asyncio.sleep(max(0.0, due - loop.time()))
            asking.create_task(ask(due))


async def observed(asking: Awaitable[Answer], seen: Observations, due: float) -> Answer | None:
    """The answer, with its time since it was `due` on the loop's clock; None, counted as such, if none comes."""
    seen.figures.sent += 1
    try:
        answer = await asking
    except ExchangeUnreachable:
        seen.figures.unanswered += 1
        return None
    seen.latency.add((asyncio.get_running_loop().time() - due) * 1_000)
    seen.saw_answer(answer.status)
    return answer
