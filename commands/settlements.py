"""What became of notices, written down together: many may end while one statement is under way."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from commands.ports import Outbox
from domain.errors import Unavailable
from domain.notices import NoticeKey

AWAY_SECONDS: Final = 0.5
LAST_SECONDS: Final = 3.0
"""For what is left at the end; what is not written then is sent again once its lease has run out."""

_log = structlog.get_logger(__name__)


class Settlements:
    """Settles notices in the outbox, for as long as `run` runs."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._ended: dict[NoticeKey, bool] = {}
        self._retries: dict[NoticeKey, float] = {}
        self._some = asyncio.Event()

    def __repr__(self) -> str:
        return f"Settlements({len(self._ended) + len(self._retries)} to be written)"

    def ended(self, key: NoticeKey, *, delivered: bool) -> None:
        self._ended[key] = delivered
        self._some.set()

    def retry(self, key: NoticeKey, seconds: float) -> None:
        self._retries[key] = seconds
        self._some.set()

    async def run(self) -> None:
        """Until it is cancelled; then it writes what is left, within a bound."""
        try:
            while True:
                await self._some.wait()
                await self._write()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    while self._ended or self._retries:
                        await self._write()

    async def _write(self) -> None:
        """All there is; while the database is away it waits."""
        self._some.clear()
        ended, retries = self._ended.copy(), self._retries.copy()
        try:
            await self._outbox.settle(ended, retries)
        except Unavailable as away:
            _log.warning("notices wait to be settled", error=str(away))
            self._some.set()
            await asyncio.sleep(AWAY_SECONDS)
            return
        for key in ended:
            del self._ended[key]
        for key in retries:
            del self._retries[key]
