"""Records impressions and clicks: every one with its verdict, whatever is decided about counting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from commands.engagement_rates import EngagementRates
from commands.ports import Clock, EventLog, Ids, Position, SeenEngagements
from commands.traffic_lists import TrafficLists
from domain.access import Caller
from domain.direct.budget import Uncharged
from domain.engagement import DUPLICATE, FETCHED_AHEAD, VALID, Judgement, is_charged_click, objection, recorded
from domain.errors import InvalidToken
from domain.event_parts import EngagementKind, Verdict
from domain.events import Engagement
from domain.landing_page import click_macros, filled
from domain.names import Names
from domain.tokens import EngagementClaims, TokenKey, verify


class Impression(NamedTuple):
    """Whether it counts, and where the log has it."""

    verdict: Verdict | Literal["forged"]
    logged_at: Position | None
    """None for a forged one, of which nothing is logged."""


class Click(NamedTuple):
    """Where the click leads, and whether it counts."""

    verdict: Verdict
    landing_url: str
    """With its macros filled."""
    logged_at: Position


class Reported(NamedTuple):
    """What a server told us of a page, a player or an app of its own."""

    kind: EngagementKind
    verdict: Verdict
    landing_url: str | None
    """Of a click, with its macros filled."""
    logged_at: Position


class Reporter(NamedTuple):
    """Who tells of a hit that it did not make itself."""

    ip: str
    """Its own address."""
    caller: Caller | None
    """Whom its access key stands for; None: nobody knows who it is."""


class _Hit(NamedTuple):
    """What is known of who met the ad."""

    ip: str
    user_agent: str
    counted_ip: str
    """Whose share of a minute it uses up; nobody's if that is not known."""
    is_ahead: bool = False
    """The browser says that nobody has seen it yet."""
    is_stated: bool = False
    """That address was told by somebody who is believed, and did not come itself."""


class RecordEngagement:
    """`GET /impression`, `GET /click` and `POST /openrtb2/event`."""

    def __init__(
        self,
        *,
        log: EventLog,
        names: Names,
        seen: SeenEngagements,
        rates: EngagementRates,
        lists: Callable[[], TrafficLists],
        charge_click: Callable[[EngagementClaims, datetime], Awaitable[Uncharged | None]],
        not_charged: Callable[[Uncharged], None],
        clock: Clock,
        ids: Ids,
        keys: Iterable[TokenKey],
    ) -> None:
        """`keys` is gone through anew for every token: those that may have signed it now.

        `lists` tells those in force now; `charge_click` why a campaign is not charged for a click that counts, or None
        once it is; `not_charged` is told of each click that was logged as free.
        """
        self._log = log
        self._topic = names.engagements
        self._seen = seen
        self._rates = rates
        self._lists = lists
        self._charge_click = charge_click
        self._not_charged = not_charged
        self._clock = clock
        self._ids = ids
        self._keys = keys

    async def impression(self, token: str, *, ip: str, user_agent: str, is_ahead: bool = False) -> Impression:
        """The verdict, once it is logged; nothing is logged for a forged token. Raises LogUnavailable, Overloaded.

        `is_ahead`: the browser says that it fetches the address before anybody has seen the ad.
        """
        try:
            claims = self._claims(token, "impression")
        except InvalidToken:
            return Impression("forged", None)
        event, position = await self._record(claims, _Hit(ip, user_agent, ip, is_ahead=is_ahead))
        return Impression(event.verdict, position)

    async def click(self, token: str, *, ip: str, user_agent: str, is_ahead: bool = False) -> Click:
        """Where it leads, once it is logged. Raises InvalidToken, LogUnavailable, Overloaded."""
        claims = self._claims(token, "click")
        if claims.landing_url is None:
            raise InvalidToken("The token names no landing page.")
        event, position = await self._record(claims, _Hit(ip, user_agent, ip, is_ahead=is_ahead))
        return Click(event.verdict, filled(claims.landing_url, click_macros(claims, event.id)), position)

    async def reported(self, token: str, *, ip: str | None, user_agent: str, by: Reporter) -> Reported:
        """What the token's own kind is and comes to, once it is logged; `ip` and `user_agent` are the viewer's.

        Where no viewer's address is stated the reporter's stands for it. Of one that may speak for the publisher the
        hits count against the addresses that it states; of anybody else against its own, like its pixels.
        Raises InvalidToken, LogUnavailable, Overloaded.
        """
        claims = verify(token, self._keys)
        is_believed = by.caller is not None and by.caller.speaks_for_publisher(claims.publisher_id)
        hit = _Hit(
            by.ip if ip is None else ip,
            user_agent,
            (ip or "") if is_believed else by.ip,
            is_stated=is_believed,
        )
        event, position = await self._record(claims, hit)
        page = claims.landing_url if claims.kind == "click" else None
        return Reported(claims.kind, event.verdict, page and filled(page, click_macros(claims, event.id)), position)

    def _claims(self, token: str, kind: EngagementKind) -> EngagementClaims:
        claims = verify(token, self._keys)
        if claims.kind != kind:
            raise InvalidToken(f"The token was issued for a different address: {claims.kind}.")
        return claims

    async def _record(self, claims: EngagementClaims, hit: _Hit) -> tuple[Engagement, Position]:
        at = self._clock.now()
        judgement = await self._judge(claims, at, hit)
        is_to_be_charged = judgement is VALID and is_charged_click(claims)
        uncharged = await self._charge_click(claims, at) if is_to_be_charged else None
        event = recorded(
            claims,
            judgement,
            event_id=self._ids(),
            at=at,
            ip=hit.ip,
            user_agent=hit.user_agent,
            uncharged=uncharged,
        )
        position = await self._log.append(self._topic, claims.auction_id, [event])
        if uncharged is not None:
            self._not_charged(uncharged)
        if judgement is VALID:
            await self._seen.confirm(claims, at)
        return event, position

    async def _judge(self, claims: EngagementClaims, at: datetime, hit: _Hit) -> Judgement:
        """A hit that does not count for another reason uses up no address' share of a minute."""
        listed = FETCHED_AHEAD if hit.is_ahead else self._lists().objection(hit.ip, hit.user_agent)
        against = objection(claims, now=at, user_agent=hit.user_agent, listed=listed)
        if against is None:
            against = await self._rates.objection(
                hit.counted_ip, claims.kind, claims.ad_id, at, is_stated=hit.is_stated
            )
        if against is not None:
            return against
        return DUPLICATE if await self._seen.is_logged(claims) else VALID
