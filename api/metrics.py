"""What Prometheus scrapes at `/metrics`.

With several API processes each keeps its figures in a file of `PROMETHEUS_MULTIPROC_DIR`, so that any of them
answers for all.
"""

from __future__ import annotations

import os
from collections import Counter as Counted
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from domain.direct.budget import Uncharged

AUCTION_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0)
AUCTION_RESULTS = ("awarded", "no_bid", "invalid", "unavailable", "overloaded", "failed")
OUTCOMES = ("won", "lost", "refused", "no_bid", "timeout", "error", "skipped")
VERDICTS = ("valid", "duplicate", "expired", "forged", "bot", "rate_limited", "test", "unavailable")


class Metrics:
    """The figures of one process; the children of the hot path are looked up once."""

    def __init__(self, multiprocess_dir: str | None = None) -> None:
        self._multiprocess_dir = multiprocess_dir
        self._registry = CollectorRegistry()
        auctions = Counter("gavel_auctions", "Bid requests answered.", ["result"], registry=self._registry)
        outcomes = Counter(
            "gavel_bidder_outcomes", "What came of asking a bidder for an imp.", ["status"], registry=self._registry
        )
        engagements = Counter(
            "gavel_engagements", "Pixels and clicks that were fetched.", ["kind", "verdict"], registry=self._registry
        )
        not_charged = Counter(
            "gavel_clicks_not_charged",
            "Clicks that count and that their campaigns were not charged for.",
            ["reason"],
            registry=self._registry,
        )
        self._not_charged = {reason: not_charged.labels(reason) for reason in get_args(Uncharged)}
        self._late_answers = Counter(
            "gavel_late_answers", "Answers of bidders that came after the auction's decision.", registry=self._registry
        )
        self._auctions = {result: auctions.labels(result) for result in AUCTION_RESULTS}
        self._outcomes = {status: outcomes.labels(status) for status in OUTCOMES}
        self._engagements = {
            (kind, verdict): engagements.labels(kind, verdict)
            for kind in ("impression", "click")
            for verdict in VERDICTS
        }
        self._auction_seconds = Histogram(
            "gavel_auction_seconds",
            "From a bid request's arrival to its answer.",
            buckets=AUCTION_SECONDS,
            registry=self._registry,
        )
        self._log_healthy = Gauge(
            "gavel_log_healthy", "1 while Kafka acknowledges.", registry=self._registry, multiprocess_mode="livemin"
        )
        self._spool_pending = Gauge(
            "gavel_spool_pending_bytes",
            "Engagements on disk that wait for Kafka.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._budgets_known = Gauge(
            "gavel_budgets_known",
            "1 while it is known what campaigns have spent; until then none of them bids.",
            registry=self._registry,
            multiprocess_mode="livemin",
        )

    def __repr__(self) -> str:
        return f"Metrics(multiprocess_dir={self._multiprocess_dir!r})"

    def auction(self, result: str, seconds: float) -> None:
        """A bid request was answered; `result` is one of AUCTION_RESULTS."""
        self._auctions[result].inc()
        self._auction_seconds.observe(seconds)

    def outcomes(self, statuses: Iterable[str]) -> None:
        """Bidders were considered for imps; each status is one of OUTCOMES."""
        for status, times in Counted(statuses).items():
            self._outcomes[status].inc(times)

    def late_answer(self) -> None:
        """A bidder answered after the auction's decision, and that is logged."""
        self._late_answers.inc()

    def engagement(self, kind: str, verdict: str) -> None:
        """A pixel or click address was fetched; `verdict` is one of VERDICTS."""
        self._engagements[kind, verdict].inc()

    def click_not_charged(self, reason: Uncharged) -> None:
        """A click of a campaign that pays for clicks is logged as free."""
        self._not_charged[reason].inc()

    def health(self, *, log_healthy: bool, spool_pending_bytes: int, budgets_known: bool) -> None:
        """What the process can do at present."""
        self._log_healthy.set(log_healthy)
        self._spool_pending.set(spool_pending_bytes)
        self._budgets_known.set(budgets_known)

    def exposition(self) -> bytes:
        """All processes' figures in Prometheus' text format 0.0.4."""
        if self._multiprocess_dir is None:
            return generate_latest(self._registry)
        _forget_the_dead(Path(self._multiprocess_dir))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=self._multiprocess_dir)  # type: ignore[no-untyped-call] # untyped library
        return generate_latest(registry)


def _forget_the_dead(folder: Path) -> None:
    """What a process says of its present state ends with it; what it has counted stays."""
    for file in folder.glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call] # untyped library
        except PermissionError:
            continue
