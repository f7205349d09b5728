"""One run: strikes while traffic flows, then peace, and every read model beside a count from the topics.

In the end each generation that is kept up to date equals the active one, each read model is rebuilt from the first
event on, the rebuild equals what it takes the place of, and it is counted once more.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from domain.errors import GavelError
from projections import operations
from projections.queries.progress import projection_status
from projections.rebuild import rebuild
from tests.chaos.expected import EXPECTED, read_log
from tests.chaos.fleet import PARTITIONS, Fleet, fleet
from tests.chaos.found import differences
from tests.chaos.schedule import IN_GENERATIONS, REBUILT, WORKERS, Strike, schedule
from tests.chaos.stream import Stream
from tests.chaos.strikes import carry_out, mended
from tests.projections.conftest import ReadSide, opened

PEACE_S = 180.0
"""How long everything may need to be in order again once nothing strikes any more."""
LOOK_S = 0.3
REBUILDS_AT_ONCE = 3
OTHERS = """
SELECT projection, generation, status FROM projection_generations
WHERE status IN ('building', 'ready', 'previous') ORDER BY projection, generation
"""
UNREADY = """
SELECT projection || ' g' || generation || ' ' || status || coalesce(': ' || stopped_reason, '')
FROM projection_generations
WHERE status = 'building' OR stopped_reason IS NOT NULL AND status IN ('ready', 'active', 'previous')
"""
TO_BE_REBUILT = """
SELECT projection, generation, status FROM dead_letters
JOIN projection_generations USING (projection, generation)
WHERE outcome IS NULL AND error LIKE '%gavel projections rebuild%' AND status IN ('ready', 'active', 'previous')
GROUP BY projection, generation, status ORDER BY projection, status = 'active'
"""
"""Generations with a letter whose retry was refused because it comes too late, the active one last."""


class Verdict(NamedTuple):
    """What came of a run."""

    strikes: Sequence[Strike]
    events: int
    """Acknowledged by Kafka."""
    outcomes: Counter[str]
    """How the operator's commands ended."""
    refusals: Sequence[str]
    """What those that were refused were told."""
    findings: Sequence[str]
    """What must not be."""
    seconds: float


Say = Callable[[str, float], None]
"""Told what happens, and which share of the strikes' time is over."""


async def run(seed: int, seconds: float, data: Path, say: Say = lambda _line, _share: None) -> Verdict:
    """So many seconds of strikes, and what they left behind. `data` is a folder for servers and logs, not there yet."""
    started = time.monotonic()
    strikes = schedule(seed, seconds)
    async with fleet(data, workers=WORKERS) as made:
        addresses = made.addresses
        await made.start_workers()
        stream = Stream(addresses.kafka_url, addresses.names, seed, partitions=PARTITIONS)
        async with stream:
            await _strike(strikes, made, stream, seconds, say)
        say("peace", 1.0)
        async with opened(addresses) as read_side:
            findings = await _judged(made, read_side, say)
        await made.stop_workers()
    seconds_in_all = time.monotonic() - started
    findings = [*made.findings, *findings]
    return Verdict(strikes, stream.written, made.desk.outcomes, made.desk.refusals, findings, seconds_in_all)


async def _strike(strikes: Sequence[Strike], made: Fleet, stream: Stream, seconds: float, say: Say) -> None:
    started = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for strike in strikes:
            await asyncio.sleep(max(0.0, started + strike.at_s - time.monotonic()))
            say(str(strike), strike.at_s / seconds)
            tasks.create_task(carry_out(strike, made, stream))
        await asyncio.sleep(max(0.0, started + seconds - time.monotonic()))


async def _judged(made: Fleet, read_side: ReadSide, say: Say) -> list[str]:
    made.mend_handlers()
    if troubles := await _troubles_at_peace(made, read_side):
        return [f"no peace after {PEACE_S:.0f} s: {'; '.join(troubles)}"]
    logged = await read_log(read_side.addresses.kafka_url, read_side.names)
    say(f"{len(logged.all) + len(logged.catalogue)} events are counted", 1.0)
    findings = await differences(read_side, logged)
    if findings:
        return findings
    findings += await _others_differ(read_side)
    say("rebuilding everything", 1.0)
    room = asyncio.Semaphore(REBUILDS_AT_ONCE)
    for rebuilt in await asyncio.gather(*(_rebuilt(read_side, name, room) for name in REBUILT)):
        findings += rebuilt
    await read_side.caught_up(*EXPECTED)
    return findings + [f"after a rebuild: {line}" for line in await differences(read_side, logged)]


async def _troubles_at_peace(made: Fleet, read_side: ReadSide) -> list[str]:
    """What an operator would still see after having done what can be done; nothing once all is in order."""
    deadline = time.monotonic() + PEACE_S
    while True:
        troubles = await _troubles(made, read_side)
        if not troubles or time.monotonic() > deadline:
            return troubles
        await asyncio.sleep(LOOK_S)


async def _troubles(made: Fleet, read_side: ReadSide) -> list[str]:
    addresses = read_side.addresses
    statuses = await projection_status(read_side.db, read_side.watermarks, names=read_side.names, redis=read_side.redis)
    for each in statuses:
        if each.status in {"paused", "stopped"}:
            await operations.resume(addresses, each.name)
    troubles = [] if await mended(made) else ["dead letters were open"]
    troubles += await _made_anew(read_side)
    troubles += [f"{each.name} is {each.status}: {each.reason}" for each in statuses if each.status != "running"]
    troubles += [f"{each.name} lags by {each.lag}" for each in statuses if each.lag != 0]
    unready = [row[0] for row in await read_side.fetch(UNREADY)]
    for name in {each.split()[0] for each in unready}:
        await operations.resume(addresses, name)
    return troubles + unready


async def _made_anew(read_side: ReadSide) -> list[str]:
    """What a refused retry asks for is done: the active generation is rebuilt, and every other one removed."""
    addresses, told = read_side.addresses, []
    for name, number, status in await read_side.fetch(TO_BE_REBUILT):
        told.append(f"generation {number} of {name} was to be rebuilt")
        try:
            if status == "active":
                await rebuild(addresses, name, accept_differences=True)
            else:
                await (operations.retire if status == "previous" else operations.cancel)(addresses, name, number)
        except GavelError as error:
            told.append(repr(error))
    return told


async def _others_differ(read_side: ReadSide) -> list[str]:
    """Of the generations that are kept up to date beside the active ones; those that never were active end here."""
    told = []
    for name, number, status in await read_side.fetch(OTHERS):
        try:
            verification = await operations.verify(read_side.addresses, name, number)
            if not verification.is_equal:
                told.append(verification.summary)
            if status != "previous":
                await operations.cancel(read_side.addresses, name, number)
        except GavelError as error:
            told.append(f"generation {number} of {name}: {error!r}")
    return told


async def _rebuilt(read_side: ReadSide, name: str, room: asyncio.Semaphore) -> list[str]:
    """Anew, compared with the active generation, and active itself."""
    async with room:
        try:
            progress = await rebuild(read_side.addresses, name)
        except GavelError as error:
            return [f"{name} could not be rebuilt: {error!r}"]
        if name in IN_GENERATIONS:
            [(active,)] = await read_side.fetch("SELECT active_generation FROM projections WHERE projection = $1", name)
            if active != progress.generation:
                return [f"{name}: generation {active} is active, and not {progress.generation}, which was built"]
    return []
