"""Records impressions and clicks: every one with its verdict, whatever is decided about counting."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from commands.ports import Clock, EventLog, Ids, SeenEngagements
from commands.quota import Quota
from commands.robots import is_known_robot
from domain.engagement import DUPLICATE, VALID, Judgement, objection, recorded
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
        quota: Quota,
        clock: Clock,
        ids: Ids,
        keys: Iterable[TokenKey],
    ) -> None:
        """`keys` is gone through anew for every token: those that may have signed it now."""
        self._log = log
        self._topic = names.engagements
        self._seen = seen
        self._quota = quota
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
        judgement = await self._judge(claims, ip=ip, user_agent=user_agent)
        event = recorded(claims, judgement, event_id=self._ids(), at=self._clock.now(), ip=ip, user_agent=user_agent)
        await self._log.append(self._topic, claims.auction_id, [event])
        if judgement is VALID:
            await self._seen.confirm(claims.kind, claims.auction_id, claims.imp_id)
        return event

    async def _judge(self, claims: EngagementClaims, *, ip: str, user_agent: str) -> Judgement:
        now = self._clock.now()
        against = objection(
            claims,
            now=now,
            user_agent=user_agent,
            is_robot=is_known_robot(user_agent),
            is_rate_limited=not await self._quota.allows_engagement(ip, now),
        )
        if against is not None:
            return against
        seen = await self._seen.is_logged(claims.kind, claims.auction_id, claims.imp_id)
        return DUPLICATE if seen else VALID
