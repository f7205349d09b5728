"""`ext.debug` of a test auction's answer: who was asked, how long it took, and why each bid stands where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from commands.fan_out import Asked
from domain.award import Award
from domain.events import RankedBy
from domain.money import cpm_text, micros_from_decimal
from domain.openrtb.codes import LossReason
from domain.outcomes import Outcome, Placed


def debug_ext(
    asked: Sequence[Asked], awards: Mapping[str, Award], *, ranked_by: RankedBy, held_ms: float
) -> dict[str, Any]:
    """The response's `ext`: `debug {held_ms, ranked_by, calls: [...], ranking: {imp id: [...]}}`."""
    debug = {
        "held_ms": held_ms,
        "ranked_by": ranked_by,
        "calls": [_call(each, awards) for each in asked],
        "ranking": {imp_id: _ranking(award) for imp_id, award in awards.items()},
    }
    return {"debug": debug}


def _call(asked: Asked, awards: Mapping[str, Award]) -> dict[str, Any]:
    return {
        "bidder_id": asked.bidder.id,
        "bidder": asked.bidder.terms.name,
        "endpoint": asked.bidder.terms.endpoint,
        "tmax_ms": asked.tmax_ms,
        "latency_ms": asked.latency_ms,
        "outcomes": [
            {"imp_id": imp_id, **_outcome(asked.bidder.id, outcome, awards.get(imp_id))}
            for imp_id, outcome in asked.outcomes.items()
        ],
    }


def _outcome(bidder_id: str, outcome: Outcome, award: Award | None) -> dict[str, Any]:
    if not isinstance(outcome, Placed):
        price = None if outcome.bid is None else cpm_text(micros_from_decimal(outcome.bid.bid.price))
        return {"status": outcome.status, "code": outcome.code, "reason": outcome.reason, "price": price}
    code, status = LossReason.WON, "won"
    if award is None or award.winner.bidder_id != bidder_id:
        lost_to_deal = award is not None and award.winner.deal_id is not None and outcome.admitted.deal is None
        code, status = (LossReason.LOST_TO_DEAL if lost_to_deal else LossReason.LOST_TO_HIGHER_BID), "lost"
    price = cpm_text(outcome.admitted.price_micros)
    return {"status": status, "code": int(code), "reason": code.sentence, "price": price}


def _ranking(award: Award) -> list[dict[str, Any]]:
    return [
        {"bidder_id": each.bidder_id, "price": cpm_text(each.price_micros), "deal_id": each.deal_id}
        for each in award.ranking
    ]
