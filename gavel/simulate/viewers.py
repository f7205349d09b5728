"""Simulated viewers: their browsers fetch the pixel out of the markup, and some of them click.

A hit is sent again until it is answered, so that what must be counted is known even when servers die meanwhile.
"""

from __future__ import annotations

import asyncio
import random
import re
from http import HTTPStatus
from types import TracebackType
from typing import Literal, NamedTuple, Self
from urllib.parse import urlsplit

from gavel.simulate.chance import chance
from gavel.simulate.exchange_client import ExchangeClient, ExchangeUnreachable
from gavel.simulate.figures import Imp, Observations
from gavel.simulate.inventory import ROBOT_USER_AGENTS, Viewer

Kind = Literal["impression", "click"]

RENDERED_SHARE = 0.85
"""Of the ads sold; the rest is never scrolled into view."""
REPEATED_SHARE = 0.03
"""Of the viewers; they reload, go back, or click twice."""
ROBOT_SHARE = 0.03
CLICK_SHARE = 0.025
RENDER_DELAY_SECONDS = 0.3
"""Mean, from the award to the pixel."""
CLICK_DELAY_SECONDS = 1.0
REPEAT_DELAY_SECONDS = 0.5
RETRY_SECONDS = (0.1, 0.2, 0.4, 0.8, *[1.0] * 90)
"""Pauses before each new try of a hit that was not answered."""

_PIXEL = re.compile(r"""https?://[^\s"'<>\]]+/impression\?t=[^\s"'<>\]&]+""")
_CLICK = re.compile(r"""https?://[^\s"'<>\]]+/click\?t=[^\s"'<>\]&]+""")


class Award(NamedTuple):
    """An ad on its way into a page."""

    imp: Imp
    key: str
    """Names the award in the same way in every run of a seed."""
    seat: str
    clearing_price_micros: int
    markup: str
    viewer: Viewer
    test: bool


class Viewers:
    """Everybody who looks at the ads of one run. Leaving the context waits until all have finished."""

    def __init__(self, client: ExchangeClient, observations: Observations, seed: int) -> None:
        self._client = client
        self._seen = observations
        self._seed = seed
        self._looking = asyncio.TaskGroup()

    def __repr__(self) -> str:
        return f"Viewers({self._client!r}, seed={self._seed})"

    async def __aenter__(self) -> Self:
        await self._looking.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._looking.__aexit__(kind, error, traceback)

    def show(self, award: Award) -> None:
        """Returns at once; the viewer takes its time."""
        rng = chance(self._seed, "viewer", award.key)
        if rng.random() < RENDERED_SHARE:
            self._looking.create_task(self._look(award, rng))

    async def _look(self, award: Award, rng: random.Random) -> None:
        pixel = _PIXEL.search(award.markup)
        if pixel is None:
            self._seen.figures.awards_without_pixel += 1
            return
        robot = rng.random() < ROBOT_SHARE
        user_agent = rng.choice(ROBOT_USER_AGENTS) if robot else award.viewer.device.user_agent
        headers = f"User-Agent: {user_agent}\r\nX-Forwarded-For: {award.viewer.ip}\r\n"
        await asyncio.sleep(rng.expovariate(1 / RENDER_DELAY_SECONDS))
        await self._hit_and_repeat("impression", pixel.group(), headers, award, rng, robot=robot)
        click = _CLICK.search(award.markup)
        if click is not None and rng.random() < CLICK_SHARE:
            await asyncio.sleep(rng.expovariate(1 / CLICK_DELAY_SECONDS))
            await self._hit_and_repeat("click", click.group(), headers, award, rng, robot=robot)

    async def _hit_and_repeat(
        self, kind: Kind, url: str, headers: str, award: Award, rng: random.Random, *, robot: bool
    ) -> None:
        answered = await self._hit(kind, url, headers, award, robot=robot)
        if answered and not robot and not award.test:
            if kind == "impression":
                self._seen.saw_impression(award.imp, award.seat, award.clearing_price_micros)
            else:
                self._seen.saw_click(award.imp)
        if rng.random() < REPEATED_SHARE:
            await asyncio.sleep(rng.expovariate(1 / REPEAT_DELAY_SECONDS))
            if await self._hit(kind, url, headers, award, robot=robot) and not award.test:
                self._seen.figures.repeated += 1

    async def _hit(self, kind: Kind, url: str, headers: str, award: Award, *, robot: bool) -> bool:
        """Fetches the address until it is answered; True if the answer was the GIF or the redirect."""
        figures = self._seen.figures
        status = await self._fetch_until_answered(url, headers)
        if status is None:
            figures.unanswered_hits += 1
            return False
        if status not in (HTTPStatus.OK, HTTPStatus.FOUND):
            figures.refused_hits += 1
            return False
        if not award.test:
            figures.robot_hits += robot
            if kind == "impression":
                figures.impressions_gross += 1
            else:
                figures.clicks_gross += 1
        return True

    async def _fetch_until_answered(self, url: str, headers: str) -> int | None:
        """The status of the first answer that is not a server's failure; None after the last retry."""
        address = urlsplit(url)
        target = f"{address.path}?{address.query}"
        for pause in (*RETRY_SECONDS, None):
            try:
                answer = await self._client.get(target, headers)
            except ExchangeUnreachable:
                pass
            else:
                if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    return answer.status
            if pause is not None:
                self._seen.figures.retries += 1
                await asyncio.sleep(pause)
        return None
