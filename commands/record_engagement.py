"""Records impressions and clicks: every one with its verdict, whatever is decided about counting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from commands.engagement_rates import EngagementRates
from commands.ports import Clock, EventLog, Ids, SeenEngagements
from commands.traffic_lists import TrafficLists
from domain.engagement import DUPLICATE, VALID, Judgement, is_charged_click, objection, recorded
from domain.errors import InvalidToken
from domain.event_parts import EngagementKind, Verdict
from domain.events import Engagement
from domain.landing_page import click_macros, filled
from domain.names import Names
from domain.tokens import EngagementClaims, TokenKey, verify


class Click(NamedTuple):
    """Where the click leads, and whether it counts."""

    verdict: Verdict
    landing_url: str
    """With its macros filled."""


class Reported(NamedTuple):
    """What a server told us of a page, a player or an app of its own."""

    kind: EngagementKind
    verdict: Verdict
    landing_url: str | None
    """Of a click, with its macros filled."""


class RecordEngagement:
    """`GET /impression` and `GET /click`."""

    def __init__(
        self,
        *,
        log: EventLog,
        names: Names,
        seen: SeenEngagements,
        rates: EngagementRates,
        lists: Callable[[], TrafficLists],
        charge_click: Callable[[EngagementClaims, datetime], Awaitable[bool]],
        clock: Clock,
        ids: Ids,
        keys: Iterable[TokenKey],
    ) -> None:
        """`keys` is gone through anew for every token: those that may have signed it now.

        `lists` tells those in force now; `charge_click` whether a campaign's budget has room for a click that counts.
        """
        self._log = log
        self._topic = names.engagements
        self._seen = seen
        self._rates = rates
        self._lists = lists
        self._charge_click = charge_click
        self._clock = clock
        self._ids = ids
        self._keys = keys

    async def impression(self, token: str, *, ip: str, user_agent: str) -> Verdict | Literal["forged"]:
        """The verdict, once it is logged; nothing is logged for a forged token. Raises LogUnavailable, Overloaded."""
        try:
            claims = self._claims(token, "impression")
        except InvalidToken:
            return "forged"
        return (await self._record(claims, ip=ip, user_agent=user_agent)).verdict

    async def click(self, token: str, *, ip: str, user_agent: str) -> Click:
        """Where it leads, once it is logged. Raises InvalidToken, LogUnavailable, Overloaded."""
        claims = self._claims(token, "click")
        if claims.landing_url is None:
            raise InvalidToken("The token names no landing page.")
        event = await self._record(claims, ip=ip, user_agent=user_agent)
        return Click(event.verdict, filled(claims.landing_url, click_macros(claims, event.id)))

    async def reported(self, token: str, *, ip: str, user_agent: str) -> Reported:
        """What the token's own kind is and comes to, once it is logged; `ip` and `user_agent` are the viewer's.

        Raises InvalidToken, LogUnavailable, Overloaded.
        """
        claims = verify(token, self._keys)
        event = await self._record(claims, ip=ip, user_agent=user_agent)
        page = claims.landing_url if claims.kind == "click" else None
        return Reported(claims.kind, event.verdict, page and filled(page, click_macros(claims, event.id)))

    def _claims(self, token: str, kind: EngagementKind) -> EngagementClaims:
        claims = verify(token, self._keys)
        if claims.kind != kind:
            raise InvalidToken(f"The token was issued for a different address: {claims.kind}.")
        return claims

    async def _record(self, claims: EngagementClaims, *, ip: str, user_agent: str) -> Engagement:
        at = self._clock.now()
        judgement = await self._judge(claims, at, ip=ip, user_agent=user_agent)
        charged = not (judgement is VALID and is_charged_click(claims)) or await self._charge_click(claims, at)
        event = recorded(claims, judgement, event_id=self._ids(), at=at, ip=ip, user_agent=user_agent, charged=charged)
        await self._log.append(self._topic, claims.auction_id, [event])
        if judgement is VALID:
            await self._seen.confirm(claims, at)
        return event

    async def _judge(self, claims: EngagementClaims, at: datetime, *, ip: str, user_agent: str) -> Judgement:
        against = objection(
            claims,
            now=at,
            user_agent=user_agent,
            listed=self._lists().objection(ip, user_agent),
            rate=await self._rates.objection(ip, claims.kind, claims.ad_id, at),
        )
        if against is not None:
            return against
        return DUPLICATE if await self._seen.is_logged(claims) else VALID
