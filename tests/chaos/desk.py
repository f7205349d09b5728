"""Where an operator's commands are given, and what came of each of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import asyncpg

from domain.errors import GavelError, Unavailable
from projections.rebuild import NotEqual
from projections.verification import Verification
from tests.chaos.schedule import OPERATOR

AWAY: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
COMMAND_S: Final = 300.0
"""What has not been done by then hangs."""
PATIENCE_S: Final = (1.0, 1.0, 2.0, 3.0, 5.0)
"""Between an operator's attempts while a server is away."""
LETTERS = """
SELECT count(*) FROM dead_letters
WHERE projection = $1 AND generation = ANY($2) AND (outcome IS NULL OR decided_at >= $3)
"""
"""Of two generations, those that are open or were at some time since."""


class Desk:
    """One operator does one thing after the other, and writes down how it ended."""

    def __init__(self, postgres_url: str) -> None:
        self.findings: list[str] = []
        """What no strike explains."""
        self.outcomes: Counter[str] = Counter()
        """How the operator's commands ended."""
        self.refusals: list[str] = []
        """What was said to those that were refused."""
        self._postgres_url = postgres_url
        self._operator = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, kind: str) -> AsyncIterator[bool]:
        """Waits for what the operator does before; False where more than a round of it is waiting already."""
        if kind not in OPERATOR:
            yield True
        elif self._waiting >= len(OPERATOR):
            self.outcomes[f"{kind} too late"] += 1
            yield False
        else:
            self._waiting += 1
            try:
                async with self._operator:
                    yield True
            finally:
                self._waiting -= 1

    async def order(self, name: str, give: Callable[[], Awaitable[object]]) -> None:
        """Has it done in this process; it may be refused, with a sentence. Where a server is away it is tried again."""
        began = datetime.now(UTC)
        for pause_s in PATIENCE_S:
            try:
                async with asyncio.timeout(COMMAND_S):
                    found = await give()
            except Unavailable:
                self.outcomes[f"{name} put off"] += 1
                await asyncio.sleep(pause_s)
            except NotEqual as different:
                await self._differs(name, different.verification, began)
                return
            except GavelError as error:
                self.outcomes[f"{name} refused"] += 1
                self.refusals.append(f"{name}: {error}")
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                self.findings.append(f"{name}: {error!r}")
                return
            else:
                self.outcomes[f"{name} done"] += 1
                if isinstance(found, Verification) and found.is_equal is False:
                    await self._differs(name, found, began)
                return
        self.outcomes[f"{name} given up"] += 1

    async def _differs(self, name: str, found: Verification, since: datetime) -> None:
        """It must not, unless one of the two lacked an event: a dead letter of it was open meanwhile."""
        if await self._letters(found, since):
            self.outcomes[f"{name} differed by dead letters"] += 1
        else:
            self.findings.append(f"{name}: {found.summary}")

    async def _letters(self, found: Verification, since: datetime) -> int:
        async with asyncio.timeout(COMMAND_S):
            while True:
                try:
                    connection = await asyncpg.connect(self._postgres_url)
                    try:
                        numbers = [found.active, found.generation]
                        return int(await connection.fetchval(LETTERS, found.projection, numbers, since))
                    finally:
                        await connection.close()
                except AWAY:
                    await asyncio.sleep(PATIENCE_S[0])
