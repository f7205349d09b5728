"""An auction as a person would tell it, sentence by sentence: the command line and the dashboard show the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from domain.auction import AGREED_PRICE, FIRST_PRICE
from domain.direct.bidder import DIRECT
from domain.limits import PRICE_INCREMENT_MICROS
from domain.money import cpm_text
from projections.queries.story_parts import (
    AuctionStory,
    Award,
    Deal,
    EngagementStory,
    ImpStory,
    LateAnswer,
    NoticeStory,
    Outcome,
    Paragraph,
    Stated,
)

_RULES = {1: "first price", 3: "agreed price"}
_RESTRICTIONS = {
    "coppa": "the audience is children (COPPA)",
    "lmt": "the person limits ad tracking",
    "dnt": "the person does not want to be tracked",
    "gdpr": "there is no consent under the GDPR",
    "us_privacy": "the person opted out of sale (US privacy)",
    "gdpr_geo": "there is no opt-in to precise geolocation (GDPR)",
}
_SEGMENTS = {
    "found": "The viewer is in segments that campaigns are for.",
    "none": "The viewer is in none of the segments that campaigns are for.",
    "nobody": "No campaign for a segment could bid: the request has no id that the viewer could be looked up by.",
    "paused": "No campaign for a segment could bid: the feed clients of their segments are paused or archived.",
    "restricted": "No campaign for a segment could bid: the viewer may not be looked up.",
    "unavailable": "No campaign for a segment could bid: the viewer's were not read in time.",
}
_VERDICTS = {
    "valid": "it counts",
    "duplicate": "a duplicate, which does not count",
    "expired": "too late to count",
    "bot": "by no person, and does not count",
    "rate_limited": "one of too many, which does not count",
    "test": "part of a test, which does not count",
}
_INCREMENT = cpm_text(PRICE_INCREMENT_MICROS)
_NO_FLOOR = cpm_text(0)
"""Of a bid under a deal that asks for none, where nobody could reach the imp's own."""
_NOT_ASKED = "Not asked: "


def told(story: AuctionStory) -> tuple[Paragraph, ...]:
    """The request, then each imp, then what happened after."""
    return (
        Paragraph(title="The request", sentences=tuple(_request(story))),
        *(Paragraph(title=f"Imp {imp.id}", sentences=tuple(_imp(imp, story))) for imp in story.imps),
        Paragraph(title="Afterwards", sentences=tuple(_afterwards(story))),
    )


# -- the request -------------------------------------------------------------------------------------


def _request(story: AuctionStory) -> Iterator[str]:
    imps = "1 imp" if len(story.imps) == 1 else f"{len(story.imps)} imps"
    yield (
        f"On {story.at:%-d %B %Y at %H:%M:%S} UTC a publisher asked for bids on {imps}:"
        f" {_rule(story.auction_type)}, in {story.currency}, within {story.tmax_ms} ms."
    )
    if story.test:
        yield "It was a test: nothing is billed, and no report counts it."
    if story.robot:
        yield "A known robot had fetched the page, so nobody was asked."
    if story.restricted_by:
        reasons = _and([_RESTRICTIONS.get(each, each) for each in story.restricted_by])
        # With that reason alone, ids are allowed.
        hidden = "where the person is" if story.restricted_by == ("gdpr_geo",) else "who the person is or where"
        yield f"Neither the bidders nor the log were told {hidden} exactly, because {reasons}."
    if story.segments is not None:
        yield _SEGMENTS[story.segments]


# -- an imp ------------------------------------------------------------------------------------------


def _imp(imp: ImpStory, story: AuctionStory) -> Iterator[str]:
    what = f" for {_or(imp.media_types)}" if imp.media_types else ""
    yield f"It was an opportunity{what} with a floor of {_floor(imp, story.currency)}."
    if imp.deals:
        only = "Only bids under a deal were admitted" if imp.private else "It could be bought under a deal"
        yield f"{only}: {_and([_deal(each, story.currency) for each in imp.deals])}."
    elif imp.private:
        yield "Only bids under a deal were admitted, and there was none."
    yield from _not_asked(each for each in imp.outcomes if each.status == "skipped")
    asked = [each for each in imp.outcomes if each.status != "skipped"]
    for outcome in sorted(asked, key=lambda each: each.latency_ms or 0.0):
        yield _answered(outcome)
        for other in outcome.other_bids:
            price = "" if other.price is None else f" of {other.price}"
            yield f"Its other bid {other.bid_id!r}{price} did not compete (code {other.code}): {_clause(other.reason)}."
    if not imp.outcomes and not story.robot:
        yield "There was no bidder to be asked."
    yield from _decision(imp)


def _not_asked(skipped: Iterable[Outcome]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for each in skipped:
        by_reason.setdefault(each.reason, []).append(each.bidder)
    for reason, bidders in by_reason.items():
        was = "was" if len(bidders) == 1 and not _is_many(bidders[0]) else "were"
        yield f"{_and(bidders)} {was} not asked: {_clause(reason.removeprefix(_NOT_ASKED))}."


def _answered(outcome: Outcome) -> str:
    after = "" if outcome.latency_ms is None else f" after {outcome.latency_ms:.1f} ms"
    if outcome.status == "no_bid":
        return f"{outcome.bidder} answered{after} without a bid: {_clause(outcome.reason)}."
    if outcome.status in {"timeout", "error"}:
        return f"{outcome.bidder} gave no usable answer (code {outcome.code}){after}: {_clause(outcome.reason)}."
    price = "" if outcome.price is None else f" {outcome.price} {outcome.currency}"
    whose = "" if outcome.campaign is None else f" for {outcome.campaign.campaign!r} with ad {outcome.campaign.ad_id}"
    known = _and([f"{each.segment!r} of {each.client!r}" for each in outcome.segments]) if outcome.segments else ""
    whose += f" because the viewer is in {known}" if known else ""
    bid = f"{outcome.bidder} bid{price}{_as_stated(outcome.stated)}{whose}{after}"
    if outcome.status == "refused":
        return f"{bid}, and the bid was refused (code {outcome.code}): {_clause(outcome.reason)}."
    deal = "" if outcome.deal_id is None else f" under deal {outcome.deal_id}"
    group = "" if outcome.group is None else f", as part of its group {outcome.group} that wins or loses as a whole"
    return f"{bid}{deal}{group}."


def _decision(imp: ImpStory) -> Iterator[str]:
    award = imp.award
    ranked = [each for each in imp.outcomes if each.rank is not None]
    for each in imp.outcomes:
        if each.status == "lost" and each.rank is None and each.group is not None:
            yield f"{each.bidder} stepped back: its group of bids could not win as a whole."
    if award is None:
        yield f"It was not sold: {_clause(imp.unsold_reason or 'no decision was logged')}."
        return
    places = ", ".join(f"{each.rank}. {each.bidder} with {each.price}{_deal_mark(each)}" for each in ranked)
    yield f"The ranking, made in {'Redis' if award.ranked_by == 'redis' else 'the process'}: {places}."
    yield from _clearing(imp, award, ranked)


def _deal_mark(outcome: Outcome) -> str:
    return "" if outcome.deal_id is None else f" (deal {outcome.deal_id})"


def _clearing(imp: ImpStory, award: Award, ranked: Sequence[Outcome]) -> Iterator[str]:
    winner = next((each.bidder for each in ranked if each.rank == 1), award.bidder_id)
    pays = f"{winner} won and {'pay' if _is_many(winner) else 'pays'} {award.clearing_price} {award.currency}"
    own_floor = next((each.floor for each in ranked if each.rank == 1), None) or imp.floor or _NO_FLOOR
    if award.auction_type == FIRST_PRICE:
        yield f"{pays}: what it bid, by the first-price rule."
    elif award.auction_type == AGREED_PRICE:
        yield f"{pays}: the price agreed in deal {award.deal_id}."
    else:
        yield f"{pays}: {_second_price(award, ranked, own_floor)}."
    if award.min_to_win is not None:
        tie = len(ranked) > 1 and ranked[1].price == award.min_to_win
        least = f"more than {award.min_to_win}, or that much if it came first" if tie else f"{award.min_to_win} or more"
        yield f"It would have won with {least}."
    yield (
        f"Of this the publisher gets {award.revenue} and the exchange {award.fee} {award.currency}"
        f" (all per thousand impressions); the decision stood after {award.held_ms:.1f} ms."
    )


def _second_price(award: Award, ranked: Sequence[Outcome], floor: str) -> str:
    """Which of its bounds set the price."""
    paid = Decimal(award.clearing_price)
    second = ranked[1].price if len(ranked) > 1 else None
    if second is not None and paid == Decimal(second) + Decimal(_INCREMENT):
        return f"the next bid of {second} plus {_INCREMENT}, by the second-price rule"
    if award.price is not None and paid == Decimal(award.price):
        return "its own bid, which the second-price rule never exceeds"
    if paid == Decimal(floor):
        why = "there being no other bid" if second is None else f"which is above the next bid of {second}"
        return f"the floor of {floor}, {why}"
    return f"{_INCREMENT}, the least that the second-price rule asks"


# -- what happened after -----------------------------------------------------------------------------


def _afterwards(story: AuctionStory) -> Iterator[str]:
    for late in story.late_answers:
        yield _late(late)
    for notice in story.notices:
        yield _notice(notice)
    for engagement in story.engagements:
        yield _engagement(engagement)
    if not story.engagements:
        yield "Nobody has seen or clicked an ad of this auction (yet)."


def _late(late: LateAnswer) -> str:
    bids = [f"{each.price} {each.currency} for imp {each.imp_id}" for each in late.bids]
    what = f"with a bid of {_and(bids)}" if bids else "without a bid"
    wrong = f" ({_clause(late.reason)})" if late.reason else ""
    return f"{late.bidder} answered {what} after {late.latency_ms:.1f} ms{wrong}: too late to change anything."


def _notice(notice: NoticeStory) -> str:
    attempts = "the first attempt" if notice.attempts == 1 else f"{notice.attempts} attempts"
    about = f"The {notice.kind} notice to {notice.bidder} for imp {notice.imp_id}"
    if notice.delivered:
        return f"{about} was delivered with {attempts} (status {notice.http_status}) at {notice.at:%H:%M:%S}."
    return f"{about} was given up after {attempts}: {_clause(notice.reason or 'no reason was logged')}."


def _engagement(engagement: EngagementStory) -> str:
    if engagement.verdict == "voided":
        about = f"The {engagement.kind} of imp {engagement.imp_id} counts no longer"
        return f"{about} since {engagement.at:%Y-%m-%d %H:%M:%S}: {_clause(engagement.reason)}."
    what = "seen" if engagement.kind == "impression" else "clicked"
    why = f" ({_clause(engagement.reason)})" if engagement.reason else ""
    verdict = _VERDICTS[engagement.verdict]
    return f"The ad of imp {engagement.imp_id} was {what} at {engagement.at:%H:%M:%S}: {verdict}{why}."


# -- words -------------------------------------------------------------------------------------------


def _rule(auction_type: int) -> str:
    return _RULES.get(auction_type, "second price")


def _deal(deal: Deal, currency: str) -> str:
    own = "" if deal.at is None else f", {_rule(deal.at)}"
    known = "of the catalogue" if deal.registered else "of the request"
    return f"{deal.id} {known} (floor {_floor(deal, currency)}{own})"


def _floor(of: ImpStory | Deal, currency: str) -> str:
    stated = of.stated_floor
    if of.floor is None and stated is not None:
        return f"{stated.price} {stated.currency}, without a rate into {currency}: nobody could reach it"
    return f"{of.floor} {currency}{_as_stated(stated)}"


def _as_stated(stated: Stated | None) -> str:
    """The sum that leads from what was stated to the figure before it."""
    if stated is None:
        return ""
    adjusted = ""
    if stated.adjustment_bps is not None:
        adjusted = f", of which {Decimal(stated.adjustment_bps).scaleb(-2).normalize():f} % compete"
    rate = "" if stated.rate == "1" else f" at the rate {stated.rate}"
    return f" (stated as {stated.price} {stated.currency}{rate}{adjusted})"


def _clause(sentence: str) -> str:
    """A sentence of the log as the second half of one of ours."""
    text = sentence.rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _is_many(bidder: str) -> bool:
    """The campaigns of the exchange's own are one bidder with the name of many."""
    return bidder == DIRECT.terms.name


def _and(words: Sequence[str]) -> str:
    return _listed(words, "and")


def _or(words: Sequence[str]) -> str:
    return _listed(words, "or")


def _listed(words: Sequence[str], last: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
