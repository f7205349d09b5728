"""What the simulated publishers and viewers saw, exact enough to be compared with the log.

Everything here is observed from outside: an auction counts when its answer arrived, an impression when the pixel
was answered. What happened to a request that got no answer, nobody on this side can know.
"""

from __future__ import annotations

import math
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from domain.money import amount_text

Imp = tuple[str, str]
"""Auction id and imp id."""
_GROWTH = math.log(1.01)


class LatencyHistogram:
    """Latencies in buckets of one per cent's width: percentiles without keeping every value."""

    def __init__(self) -> None:
        self.max_ms = 0.0
        self._buckets: Counter[int] = Counter()

    def __repr__(self) -> str:
        return f"LatencyHistogram({self._buckets.total()} values, max {self.max_ms:.1f} ms)"

    def add(self, ms: float) -> None:
        self.max_ms = max(self.max_ms, ms)
        self._buckets[int(math.log(max(ms, 0.001)) / _GROWTH)] += 1

    def percentile_ms(self, percent: float) -> float:
        """The upper edge of the bucket that holds this percentile; 0 when nothing was added."""
        rank = self._buckets.total() * percent / 100
        for bucket, count in sorted(self._buckets.items()):
            rank -= count
            if rank <= 0:
                return min(math.exp((bucket + 1) * _GROWTH), self.max_ms)
        return self.max_ms


class Evidence(msgspec.Struct, kw_only=True):
    """Which auctions and engagements were answered; tests of the exchange and robots are not in it."""

    auctions: list[str] = msgspec.field(default_factory=list)
    awards: list[tuple[str, str, str, int]] = msgspec.field(default_factory=list)
    """Auction id, imp id, the winner's seat, clearing price in micros CPM."""
    impressions: list[Imp] = msgspec.field(default_factory=list)
    clicks: list[Imp] = msgspec.field(default_factory=list)


class Figures(msgspec.Struct, kw_only=True):
    """Counts of one run. Those from `auctions` on leave out requests with `test: 1`, as reports do."""

    sent: int = 0
    answered_200: int = 0
    answered_204: int = 0
    answered_4xx: int = 0
    answered_5xx: int = 0
    unanswered: int = 0
    """No connection, a broken one, or no answer in time."""
    unreadable: int = 0
    """200 with a body that is not the answer it should be."""
    test_auctions: int = 0

    auctions: int = 0
    """Answered 200 or 204 with an id."""
    imps: int = 0
    awards: int = 0
    awards_without_pixel: int = 0
    impressions_gross: int = 0
    """Pixels answered, robots and repeated ones among them."""
    impressions: int = 0
    """Distinct imps whose pixel was answered to a person."""
    clicks_gross: int = 0
    clicks: int = 0
    repeated: int = 0
    """Hits that a viewer made a second time on purpose."""
    robot_hits: int = 0
    retries: int = 0
    """Hits sent again because no answer came: the log may hold some of them twice."""
    refused_hits: int = 0
    """Answered, but neither with the GIF nor with a redirect."""
    unanswered_hits: int = 0
    """Given up after all retries: whether they count is unknown."""
    spend_nanos: int = 0
    """Clearing prices of `impressions`, in nano-units of the currency."""
    spend_nanos_by_seat: Counter[str] = msgspec.field(default_factory=Counter)


class Observations:
    """Figures, latencies and, if wanted, the evidence behind the figures."""

    def __init__(self, *, keep_evidence: bool) -> None:
        self.figures = Figures()
        self.latency = LatencyHistogram()
        self.evidence = Evidence() if keep_evidence else None

    def __repr__(self) -> str:
        return f"Observations({self.figures!r})"

    def saw_answer(self, status: int) -> None:
        """An auction was answered with this HTTP status."""
        if status == HTTPStatus.OK:
            self.figures.answered_200 += 1
        elif status == HTTPStatus.NO_CONTENT:
            self.figures.answered_204 += 1
        elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.figures.answered_5xx += 1
        else:
            self.figures.answered_4xx += 1

    def saw_auction(self, auction_id: str, imps: int, *, test: bool) -> None:
        if test:
            self.figures.test_auctions += 1
            return
        self.figures.auctions += 1
        self.figures.imps += imps
        if self.evidence is not None:
            self.evidence.auctions.append(auction_id)

    def saw_award(self, auction_id: str, imp_id: str, seat: str, clearing_price_micros: int) -> None:
        self.figures.awards += 1
        if self.evidence is not None:
            self.evidence.awards.append((auction_id, imp_id, seat, clearing_price_micros))

    def saw_impression(self, imp: Imp, seat: str, clearing_price_micros: int) -> None:
        """The first pixel of an imp that a person's browser got an answer to."""
        self.figures.impressions += 1
        # One CPM micro is one nano-unit per impression.
        self.figures.spend_nanos += clearing_price_micros
        self.figures.spend_nanos_by_seat[seat] += clearing_price_micros
        if self.evidence is not None:
            self.evidence.impressions.append(imp)

    def saw_click(self, imp: Imp) -> None:
        self.figures.clicks += 1
        if self.evidence is not None:
            self.evidence.clicks.append(imp)

    def latency_ms(self) -> dict[str, float]:
        """p50, p95, p99 and max of the auctions' answers, from the moment each was due."""
        percentiles = {f"p{percent}": round(self.latency.percentile_ms(percent), 2) for percent in (50, 95, 99)}
        return percentiles | {"max": round(self.latency.max_ms, 2)}

    def write(self, path: Path, run: dict[str, Any]) -> None:
        """Writes the figures, `run` (the run's own parameters) and the evidence as one JSON object."""
        content = run | msgspec.to_builtins(self.figures)
        content |= {"spend": amount_text(self.figures.spend_nanos), "latency_ms": self.latency_ms()}
        if self.evidence is not None:
            content["evidence"] = self.evidence
        path.write_bytes(msgspec.json.encode(content))
