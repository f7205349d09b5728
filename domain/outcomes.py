"""What became of each bidder: exactly one outcome per imp, whatever it answered.

Only a bidder's best valid bid for an imp competes; its other bids stand inside the outcome.
A bid for an imp that does not exist, or a part of the answer that cannot be read, is reported with the first imp
that the bidder has no bid for, else among the other bids of the first imp.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from domain.bids import Admitted, Refusal, judge
from domain.events import NoticeUrls, OtherBid, OutcomeStatus
from domain.invitation import ALL_OFFERED, Invitation
from domain.money import micros_from_decimal
from domain.openrtb.codes import LossReason, NoBidReason, NonBidStatus
from domain.openrtb.parse import MalformedBid, ParsedBid, ParsedResponse
from domain.sale import Sale
from domain.skip import Skip


class Placed(msgspec.Struct, frozen=True, gc=False):
    """The bidder's best valid bid for the imp."""

    bid: ParsedBid
    admitted: Admitted
    response_bid_id: str | None
    """`BidResponse.bidid`."""
    others: tuple[OtherBid, ...] = ()


class Missed(msgspec.Struct, frozen=True, gc=False):
    """The bidder has no bid in the imp's ranking."""

    status: OutcomeStatus
    code: int
    """For `refused` an IAB loss reason, for all others a seat-non-bid code."""
    reason: str
    bid: ParsedBid | None = None
    """The refused bid, where it could be read."""
    bid_id: str | None = None
    currency: str | None = None
    others: tuple[OtherBid, ...] = ()


Outcome = Placed | Missed
_NO_BID = Missed("no_bid", NonBidStatus.NO_BID, "The bidder did not bid for this imp.")


class _Judged(msgspec.Struct, frozen=True, gc=False):
    verdict: Admitted | Refusal
    bid: ParsedBid | None
    bid_id: str

    @property
    def standing(self) -> tuple[bool, bool, int]:
        """Greater is better; of equals the first in the answer is taken."""
        if isinstance(self.verdict, Refusal):
            return (False, False, 0)
        return (True, self.verdict.deal is not None, self.verdict.price_micros)


def the_same_for_all_imps(
    sale: Sale, status: OutcomeStatus, code: int, reason: str, not_offered: Mapping[str, Skip] = ALL_OFFERED
) -> dict[str, Outcome]:
    """Outcomes of a bidder that was not asked, or gave no usable answer at all; an imp not offered stays skipped."""
    missed = Missed(status, code, reason)
    if not not_offered:
        return dict.fromkeys(sale.imps, missed)
    return {imp_id: skipped_imp(not_offered[imp_id]) if imp_id in not_offered else missed for imp_id in sale.imps}


def skipped_imp(skip: Skip) -> Missed:
    """The outcome of an imp that the bidder is not asked for."""
    return Missed("skipped", skip.code, skip.reason)


def no_bid(sale: Sale, nbr: int | None, not_offered: Mapping[str, Skip] = ALL_OFFERED) -> dict[str, Outcome]:
    """Outcomes of a bidder that says it does not bid; `nbr` is its reason, where it gives one."""
    code, reason = (NonBidStatus.NO_BID, "") if nbr is None else (nbr, f": {NoBidReason.describe(nbr)}")
    return the_same_for_all_imps(sale, "no_bid", code, f"The bidder did not bid{reason}.", not_offered)


def outcomes_of(answer: ParsedResponse, sale: Sale, invitation: Invitation) -> dict[str, Outcome]:
    """Judges every bid of a bidder's answer. The keys are all imps of the sale, in their order."""
    not_offered = invitation.not_offered
    if not answer.bids and not answer.malformed:
        return no_bid(sale, answer.response.nbr, not_offered)
    if answer.response.id != sale.request.id:
        reason = "The answer's id is not the id of the request."
        return the_same_for_all_imps(sale, "error", NonBidStatus.INVALID_RESPONSE, reason, not_offered)
    judged = _judge_all(answer, sale, invitation)
    bidid = answer.response.bidid
    currency = answer.response.cur
    return {
        imp_id: _outcome(judged[imp_id], bidid, currency)
        if judged[imp_id]
        else (skipped_imp(not_offered[imp_id]) if imp_id in not_offered else _NO_BID)
        for imp_id in sale.imps
    }


def notices_of(bid: ParsedBid) -> NoticeUrls | None:
    """Where the bidder wants to hear about the bid; None if nowhere."""
    of = bid.bid
    return NoticeUrls(nurl=of.nurl, burl=of.burl, lurl=of.lurl) if of.nurl or of.burl or of.lurl else None


def _judge_all(answer: ParsedResponse, sale: Sale, invitation: Invitation) -> dict[str, list[_Judged]]:
    """Every bid under the imp that it will be reported with."""
    judged: dict[str, list[_Judged]] = {imp_id: [] for imp_id in sale.imps}
    strays: list[_Judged] = []
    for parsed in answer.bids:
        bid = parsed.bid
        for_sale = sale.imps.get(bid.impid)
        if for_sale is None:
            strays.append(_Judged(Refusal(LossReason.INVALID_RESPONSE, _no_such_imp(bid.impid)), parsed, bid.id))
        elif bid.impid in invitation.not_offered:
            refusal = Refusal(LossReason.INVALID_RESPONSE, "The bidder was not asked for this imp.")
            judged[bid.impid].append(_Judged(refusal, parsed, bid.id))
        else:
            verdict = judge(parsed, invitation.bidder, sale, for_sale, answer.response.cur)
            judged[bid.impid].append(_Judged(verdict, parsed, bid.id))
    for each in answer.malformed:
        known = each.impid is not None and each.impid in judged
        (judged[each.impid or ""] if known else strays).append(_Judged(_malformed(each), None, each.bid_id or ""))
    if strays:
        without_bid = (imp_id for imp_id, bids in judged.items() if not bids)
        judged[next(without_bid, next(iter(judged)))] += strays
    return judged


def _outcome(judged: list[_Judged], bidid: str | None, currency: str) -> Outcome:
    best = judged[0]
    others: tuple[OtherBid, ...] = ()
    if len(judged) > 1:
        best = max(judged, key=lambda each: each.standing)
        others = _others((each for each in judged if each is not best), best)
    verdict = best.verdict
    if isinstance(verdict, Refusal):
        return Missed("refused", verdict.code, verdict.reason, best.bid, best.bid_id or None, currency, others)
    assert best.bid is not None, "only a bid that could be read is admitted"
    return Placed(best.bid, verdict, bidid, others)


def _others(judged: Iterable[_Judged], best: _Judged) -> tuple[OtherBid, ...]:
    return tuple(
        OtherBid(
            bid_id=each.bid_id,
            code=(refusal := _why_not_this_one(each.verdict, best.verdict)).code,
            reason=refusal.reason,
            price_micros=None if each.bid is None else micros_from_decimal(each.bid.bid.price),
        )
        for each in judged
    )


def _why_not_this_one(verdict: Admitted | Refusal, best: Admitted | Refusal) -> Refusal:
    if isinstance(verdict, Refusal):
        return verdict
    assert isinstance(best, Admitted), "a valid bid stands above a refused one"
    if best.deal is not None and verdict.deal is None:
        return Refusal(LossReason.LOST_TO_DEAL, "The same bidder's bid under a deal goes first.")
    return Refusal(LossReason.LOST_TO_HIGHER_BID, "Another bid of the same bidder is better.")


def _malformed(bid: MalformedBid) -> Refusal:
    return Refusal(LossReason.INVALID_RESPONSE, f"{bid.path}: {bid.reason}.")


def _no_such_imp(imp_id: str) -> str:
    shown = imp_id if len(imp_id) <= _SHOWN_MAX_CHARS else imp_id[:_SHOWN_MAX_CHARS] + "…"
    return f"The request has no imp {shown!r}."


_SHOWN_MAX_CHARS = 64
