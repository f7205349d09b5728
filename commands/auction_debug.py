"""`ext.debug` of a test auction's answer: who was asked what, how long it took, and why each bid stands so.

Anybody may ask for it. Outside bidders see the request and bid or do not; campaigns are other tenants' secrets, so that
of the bidder `direct` it tells what won, and else only how it ended: no other campaign, no price, no budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from commands.fan_out import Asked
from domain.auction import Candidate
from domain.award import Award, Decision
from domain.direct.bidder import DIRECT_ID
from domain.event_parts import OtherBid, RankedBy, StatedPrice
from domain.money import cpm_text, micros_from_decimal
from domain.openrtb.codes import LossReason
from domain.outcomes import Missed, Outcome, Placed

_GROUP_FAILED = "Stepped back: its group of bids could not win as a whole"


def debug_ext(asked: Sequence[Asked], decision: Decision, *, ranked_by: RankedBy, held_ms: float) -> dict[str, Any]:
    """The response's `ext`: `debug {held_ms, ranked_by, calls: [...], ranking, withdrawn, clearing: by imp id}`.

    Prices are CPM of the auction's currency, decimal text. Members that do not apply are null.
    """
    debug = {
        "held_ms": held_ms,
        "ranked_by": ranked_by,
        "calls": [_call(each, decision) for each in asked],
        "ranking": {
            imp_id: [_ranked(each, award) for each in award.ranking] for imp_id, award in decision.awards.items()
        },
        "withdrawn": dict(decision.withdrawn),
        "clearing": {imp_id: _clearing(award) for imp_id, award in decision.awards.items()},
    }
    return {"debug": debug}


def _call(asked: Asked, decision: Decision) -> dict[str, Any]:
    bidder_id = asked.bidder.id
    told = {imp_id: _outcome(bidder_id, imp_id, outcome, decision) for imp_id, outcome in asked.outcomes.items()}
    if bidder_id == DIRECT_ID:
        told = {imp_id: _of_campaigns(outcome) for imp_id, outcome in told.items()}
    return {
        "bidder_id": bidder_id,
        "bidder": asked.bidder.terms.name,
        "endpoint": _without_secrets(asked.bidder.terms.endpoint),
        "tmax_ms": asked.tmax_ms,
        "latency_ms": asked.latency_ms,
        "request": None if asked.sent is None else msgspec.Raw(asked.sent),
        "outcomes": [{"imp_id": imp_id, **outcome} for imp_id, outcome in told.items()],
    }


def _of_campaigns(outcome: dict[str, Any]) -> dict[str, Any]:
    """Without what campaigns that did not win would bid, and why: those sentences name them and their budgets."""
    told = {**outcome, "other_bids": []}
    if outcome["status"] == "won":
        return told
    if outcome["status"] == "refused":
        told["reason"] = LossReason.describe(outcome["code"])
    return told | dict.fromkeys(told.keys() & {"price", "stated"})


def _without_secrets(endpoint: str) -> str:
    """Where the bidder listens, without the keys that its address may carry: whoever asks for a test reads this."""
    parts = urlsplit(endpoint)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _outcome(bidder_id: str, imp_id: str, outcome: Outcome, decision: Decision) -> dict[str, Any]:
    if isinstance(outcome, Missed):
        price = None if outcome.bid is None else cpm_text(micros_from_decimal(outcome.bid.bid.price))
        told = {"status": outcome.status, "code": outcome.code, "reason": outcome.reason, "price": price}
    else:
        told = _placed(bidder_id, imp_id, outcome, decision)
    return {**told, "other_bids": [_other(each) for each in outcome.others]}


def _other(bid: OtherBid) -> dict[str, Any]:
    price = None if bid.price_micros is None else cpm_text(bid.price_micros)
    return {"bid_id": bid.bid_id, "code": bid.code, "reason": bid.reason, "price": price}


def _placed(bidder_id: str, imp_id: str, outcome: Placed, decision: Decision) -> dict[str, Any]:
    status, code, reason = _verdict(bidder_id, outcome, decision.awards.get(imp_id), decision.withdrawn.get(imp_id, ()))
    admitted = outcome.admitted
    return {
        "status": status,
        "code": int(code),
        "reason": reason,
        "price": cpm_text(admitted.price_micros),
        "floor": cpm_text(admitted.floor_micros),
        "stated": _stated(admitted.stated),
        "deal_id": None if admitted.deal is None else admitted.deal.id,
        "media_type": admitted.media_type,
        "group": outcome.group,
    }


def _verdict(
    bidder_id: str, outcome: Placed, award: Award | None, withdrawn: Sequence[str]
) -> tuple[str, LossReason, str]:
    if award is None or bidder_id in withdrawn:
        return "lost", LossReason.LOST_TO_HIGHER_BID, _GROUP_FAILED
    if award.winner.bidder_id == bidder_id:
        return "won", LossReason.WON, LossReason.WON.sentence
    lost_to_deal = award.winner.deal_id is not None and outcome.admitted.deal is None
    code = LossReason.LOST_TO_DEAL if lost_to_deal else LossReason.LOST_TO_HIGHER_BID
    return "lost", code, code.sentence


def _ranked(candidate: Candidate, award: Award) -> dict[str, Any]:
    is_secret = candidate.bidder_id == DIRECT_ID and award.winner.bidder_id != DIRECT_ID
    return {
        "bidder_id": candidate.bidder_id,
        "price": None if is_secret else cpm_text(candidate.price_micros),
        "deal_id": candidate.deal_id,
        "group": candidate.group,
    }


def _clearing(award: Award) -> dict[str, Any]:
    """The sum: the winner's price and floor, what it pays by which rule, and who gets how much of it."""
    clearing = award.clearing
    return {
        "bidder_id": award.winner.bidder_id,
        "price": cpm_text(award.winner.price_micros),
        "floor": cpm_text(award.winner.floor_micros),
        "auction_type": clearing.auction_type,
        "clearing_price": cpm_text(clearing.price_micros),
        "min_to_win": cpm_text(clearing.min_to_win_micros),
        "revenue": cpm_text(award.revenue_micros),
        "fee": cpm_text(award.fee_micros),
    }


def _stated(stated: StatedPrice | None) -> dict[str, Any] | None:
    if stated is None:
        return None
    return {
        "price": cpm_text(stated.price_micros),
        "currency": stated.currency,
        "rate": stated.rate,
        "adjustment_bps": stated.adjustment_bps,
    }
