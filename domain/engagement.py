"""What counts as an impression or a click, and what is only recorded.

The order of the reasons is the order in which they are looked for, so each hit has exactly one verdict.
A duplicate is looked for last: a hit that does not count for another reason must not use up the one that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from domain.device_match import is_another_device
from domain.direct.budget import Uncharged
from domain.event_parts import InvalidTraffic, Verdict, Viewer
from domain.events import ClickRecorded, Engagement, ImpressionRecorded
from domain.limits import USER_AGENT_KEPT_MAX_CHARS
from domain.privacy import truncate_ip
from domain.tokens import EngagementClaims, is_expired


class Judgement(NamedTuple):
    """Whether an engagement counts, and why not."""

    verdict: Verdict
    reason: str = ""
    ivt: InvalidTraffic | None = None


VALID = Judgement("valid")
DUPLICATE = Judgement("duplicate", "An earlier hit of the same address counts already.")
_TEST = Judgement("test", "The auction was a test.")
_EXPIRED = Judgement("expired", "The address was used after its expiry.")
ROBOT = Judgement("bot", "The user agent is a known robot's.", "robot")
NO_USER_AGENT = Judgement("bot", "No user agent was sent: browsers always send one.", "not_a_browser")
NOT_A_BROWSER = Judgement("bot", "The user agent is not that of a browser, an app or a player.", "not_a_browser")
FETCHED_AHEAD = Judgement("bot", "The browser only fetched it ahead of time.", "not_a_browser")
DATA_CENTRE = Judgement("bot", "The address belongs to a data centre: nobody looks at pages there.", "data_centre")
_OTHER_DEVICE = Judgement(
    "bot", "The user agent tells of another device than the one that the auction was about.", "device_mismatch"
)
TOO_MANY_OF_ADDRESS = Judgement("rate_limited", "Too many hits from the same address within a minute.", "rate_ip")
TOO_MANY_OF_AD = Judgement(
    "rate_limited", "Too many hits on the same ad from the same address within a minute.", "rate_ad"
)
_NOT_CHARGED: Final[Mapping[Uncharged, str]] = {
    "no_budget": "Not charged: the campaign's budget had no room for it.",
    "budget_unknown": "Not charged: what the campaign has spent was not known.",
}


def objection(
    claims: EngagementClaims, *, now: datetime, user_agent: str, listed: Judgement | None
) -> Judgement | None:
    """Why the engagement does not count, before hits are counted; None if nothing speaks against it.

    `listed` is what the lists of robots, browsers and data centres say, or the request of itself.
    """
    if claims.test:
        return _TEST
    if is_expired(claims, now):
        return _EXPIRED
    if listed is not None:
        return listed
    return _OTHER_DEVICE if is_another_device(claims.agent, user_agent) else None


def is_charged_click(claims: EngagementClaims) -> bool:
    """Whether it is a click that a campaign pays for, once it counts."""
    return claims.kind == "click" and claims.charged_on == "click" and claims.campaign_id is not None


def recorded(
    claims: EngagementClaims,
    judgement: Judgement,
    *,
    event_id: str,
    at: datetime,
    ip: str,
    user_agent: str,
    uncharged: Uncharged | None = None,
) -> Engagement:
    """The event that tells of the engagement; of who it was, a pseudonym, and what a billing notice will say.

    `uncharged` is of a click that counts and that its campaign is not charged for.
    """
    told: dict[str, Any] = {
        "id": event_id,
        "at": at,
        "correlation_id": claims.auction_id,
        "causation_id": event_id,
        "auction_id": claims.auction_id,
        "imp_id": claims.imp_id,
        "bidder_id": claims.bidder_id,
        "bid_id": claims.bid_id,
        "verdict": judgement.verdict,
        "price_micros": claims.price_micros,
        "clearing_price_micros": claims.clearing_price_micros,
        "revenue_micros": claims.revenue_micros,
        "fee_micros": claims.fee_micros,
        "currency": claims.currency,
        "inventory": claims.inventory,
        "awarded_at": claims.awarded_at,
        "seat": claims.seat,
        "deal_id": claims.deal_id,
        "advertiser_id": claims.advertiser_id,
        "campaign_id": claims.campaign_id,
        "ad_id": claims.ad_id,
        "charged_on": claims.charged_on,
        "charged": uncharged is None,
        "charge_nanos": claims.charge_nanos,
        "size": claims.size,
        "person": claims.person,
        "reason": judgement.reason if uncharged is None else _NOT_CHARGED[uncharged],
        "ivt": judgement.ivt,
        "test": claims.test,
    }
    if claims.kind == "click":
        return ClickRecorded(**told)
    is_billed = claims.wants_billing_notice and judgement is VALID
    return ImpressionRecorded(**told, viewer=_viewer(ip, user_agent) if is_billed else None)


def _viewer(ip: str, user_agent: str) -> Viewer:
    """An address cut to its network, and a user agent fit for a header line."""
    printable = "".join(each for each in user_agent[:USER_AGENT_KEPT_MAX_CHARS] if each.isprintable())
    return Viewer(ip=truncate_ip(ip), user_agent=printable)
