"""What became of each bidder: exactly one outcome per imp, whatever it answered.

Only a bidder's best valid bid for an imp competes; its other bids stand inside the outcome.
A bid for an imp that does not exist, or a part of the answer that cannot be read, is reported with the first imp
that the bidder has no bid for, else among the other bids of the first imp.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from domain.bid_rules.macro_growth import macro_growth_refusal
from domain.bid_rules.refusal import Refusal, clip
from domain.bids import Admitted, judge
from domain.direct.campaign import LiveAd, LiveCampaign
from domain.event_parts import DirectDemand, NoticeUrls, OtherBid, OutcomeStatus
from domain.invitation import ALL_OFFERED, Invitation
from domain.judged_bids import Judged, JudgedBids, best_of, refuse_broken_groups
from domain.limits import OTHER_BIDS_MAX_BYTES
from domain.market import RegisteredBidder
from domain.money import micros_from_decimal
from domain.openrtb.codes import LossReason, NoBidReason, NonBidStatus
from domain.openrtb.parse import MalformedBid, ParsedBid, ParsedResponse
from domain.openrtb.response import Bid, BidResponse
from domain.sale import Sale
from domain.skip import Skip


class DirectBid(msgspec.Struct, frozen=True, gc=False):
    """Whose ad a bid of the exchange's own campaigns is for."""

    demand: DirectDemand
    """As the bid states it; what the award costs is not known yet."""
    campaign: LiveCampaign
    ad: LiveAd


class Placed(msgspec.Struct, frozen=True, gc=False):
    """The bidder's best valid bid for the imp."""

    bid: ParsedBid
    admitted: Admitted
    response_bid_id: str | None
    """`BidResponse.bidid`."""
    others: tuple[OtherBid, ...] = ()
    group: int | None = None
    """The bidder's bids of one answer with the same number win or lose as a whole."""
    direct: DirectBid | None = None
    """Of the bidder `direct` only."""


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
    response_bid_id: str | None = None
    """As of a Placed."""
    others: tuple[OtherBid, ...] = ()


Outcome = Placed | Missed
_encode = msgspec.json.Encoder().encode
_NO_ROOM_FOR_NOTICES = "The log has no room for its notices."
_NO_BID = Missed("no_bid", NonBidStatus.NO_BID, "The bidder did not bid for this imp.")


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
    return {
        imp_id: _outcome(judged[imp_id], sale, answer.response, invitation.bidder)
        if judged[imp_id]
        else (skipped_imp(not_offered[imp_id]) if imp_id in not_offered else _NO_BID)
        for imp_id in sale.imps
    }


def notices_of(parsed: ParsedBid, sale: Sale, response_bid_id: str | None) -> NoticeUrls | None:
    """Where the bidder wants to hear about the bid; None if nowhere.

    A `nurl` that the markup is fetched from is called by who shows the ad.
    """
    bid = parsed.bid
    nurl = bid.nurl if bid.adm else None
    if not (nurl or bid.burl or bid.lurl):
        return None
    for_sale = sale.imps.get(bid.impid)
    quantity = None if for_sale is None else for_sale.imp.qty
    return NoticeUrls(
        nurl=nurl or None,
        burl=bid.burl or None,
        lurl=bid.lurl or None,
        response_bid_id=response_bid_id,
        ad_id=bid.adid,
        multiplier=None if quantity is None else quantity.multiplier,
    )


def _judge_all(answer: ParsedResponse, sale: Sale, invitation: Invitation) -> JudgedBids:
    """Every bid under the imp that it will be reported with."""
    judged: JudgedBids = {imp_id: [] for imp_id in sale.imps}
    strays: list[Judged] = []
    for parsed in answer.bids:
        bid = parsed.bid
        kept: ParsedBid | None = parsed
        for_sale = sale.imps.get(bid.impid)
        verdict: Admitted | Refusal
        too_long = macro_growth_refusal(parsed, sale.request.id, answer.response.bidid)
        if too_long is not None:
            # Its addresses would grow as well.
            verdict, kept = too_long, None
        elif for_sale is None:
            verdict = Refusal(LossReason.INVALID_RESPONSE, f"The request has no imp {clip(bid.impid)!r}.")
        elif bid.impid in invitation.not_offered:
            verdict = Refusal(LossReason.INVALID_RESPONSE, "The bidder was not asked for this imp.")
        else:
            verdict = judge(parsed, invitation.bidder, sale, for_sale, answer.response.cur)
        (strays if for_sale is None else judged[bid.impid]).append(Judged(verdict, kept, bid.id, _group_of(parsed)))
    for each in answer.malformed:
        refusal = Refusal(LossReason.INVALID_RESPONSE, f"{each.path}: {each.reason}.")
        known = each.impid is not None and each.impid in judged
        (judged[each.impid or ""] if known else strays).append(
            Judged(refusal, None, each.bid_id or "", _group_of(each))
        )
    if strays:
        without_bid = (imp_id for imp_id, bids in judged.items() if not bids)
        judged[next(without_bid, next(iter(judged)))] += strays
    if any(each.group is not None for bids in judged.values() for each in bids):
        refuse_broken_groups(judged)
    return judged


def _group_of(bid: ParsedBid | MalformedBid) -> int | None:
    return bid.seat_index if bid.group == 1 else None


def _outcome(judged: list[Judged], sale: Sale, response: BidResponse, bidder: RegisteredBidder) -> Outcome:
    best = best_of(judged)
    others = _others(judged, best, sale, response, bidder) if len(judged) > 1 else ()
    verdict = best.verdict
    if isinstance(verdict, Refusal):
        return Missed(
            "refused", verdict.code, verdict.reason, best.bid, best.bid_id or None, response.cur, response.bidid, others
        )
    assert best.bid is not None, "only a bid that could be read is admitted"
    return Placed(best.bid, verdict, response.bidid, others, best.group)


def _others(
    judged: Iterable[Judged], best: Judged, sale: Sale, response: BidResponse, bidder: RegisteredBidder
) -> tuple[OtherBid, ...]:
    """All but the best, with prices in the currency that its own is told in: the auction's, if it competes."""

    def price_micros(bid: Bid) -> int | None:
        if isinstance(best.verdict, Refusal):
            return micros_from_decimal(bid.price)
        price = sale.price_of(bid.price, response.cur, bidder.terms)
        return None if price is None else price[0]

    return _bounded(
        OtherBid(
            bid_id=each.bid_id,
            code=(refusal := _why_not_this_one(each.verdict, best.verdict)).code,
            reason=refusal.reason,
            price_micros=None if each.bid is None else price_micros(each.bid.bid),
            seat="" if each.bid is None else each.bid.seat,
            notices=None if each.bid is None else notices_of(each.bid, sale, response.bidid),
        )
        for each in judged
        if each is not best
    )


def _bounded(others: Iterable[OtherBid]) -> tuple[OtherBid, ...]:
    """As many as an event has room for: what does not fit goes without its notices, or is only counted."""
    kept: list[OtherBid] = []
    room, left_out = OTHER_BIDS_MAX_BYTES, 0
    for other in others:
        told, size = other, len(_encode(other))
        if size > room and other.notices is not None:
            told = msgspec.structs.replace(other, notices=None, reason=f"{other.reason} {_NO_ROOM_FOR_NOTICES}")
            size = len(_encode(told))
        if left_out or size > room:
            left_out += 1
        else:
            room -= size
            kept.append(told)
    if left_out:
        reason = f"{left_out} further bids for the imp are left out: the log has no room for them."
        kept.append(OtherBid(bid_id="", code=LossReason.INVALID_RESPONSE, reason=reason))
    return tuple(kept)


def _why_not_this_one(verdict: Admitted | Refusal, best: Admitted | Refusal) -> Refusal:
    if isinstance(verdict, Refusal):
        return verdict
    assert isinstance(best, Admitted), "a valid bid stands above a refused one"
    if best.deal is not None and verdict.deal is None:
        return Refusal(LossReason.LOST_TO_DEAL, "The same bidder's bid under a deal goes first.")
    return Refusal(LossReason.LOST_TO_HIGHER_BID, "Another bid of the same bidder is better.")
