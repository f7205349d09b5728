"""What an operation cost, measured in turns, and the ratio between two contenders."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

import msgspec


class Latencies(msgspec.Struct, frozen=True):
    """Percentiles of the time from a request's due moment to its whole answer, in milliseconds."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class Cost(msgspec.Struct, frozen=True):
    """One round of one contender."""

    operations: int
    cpu_seconds: float
    """User and system time of the process or processes under test, and of nothing else."""
    wall_seconds: float
    latencies: Latencies | None = None

    @property
    def cpu_us(self) -> float:
        """CPU microseconds per operation."""
        return self.cpu_seconds / self.operations * 1e6

    @property
    def wall_us(self) -> float:
        """Wall microseconds per operation: with several in flight this is not a latency."""
        return self.wall_seconds / self.operations * 1e6


class Target(msgspec.Struct, frozen=True):
    """What the ratio has to be."""

    relation: Literal["≤", "≥"]
    bound: float

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:g}"

    def is_met(self, ratio: float) -> bool:
        return ratio <= self.bound if self.relation == "≤" else ratio >= self.bound


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The product beside a peer or a limit, over the same rounds."""

    what: str
    unit: str
    """What one operation is: "auction", "impression", "event"."""
    subject: str
    peer: str
    subject_rounds: Sequence[Cost]
    peer_rounds: Sequence[Cost]
    ratio_of: Literal["costs", "rates"] = "costs"
    """Costs: the product's time over the peer's, smaller is better. Rates: the other way round, larger is better."""
    target: Target | None = None
    judged_by: Literal["CPU", "wall"] = "CPU"
    """Which ratio has to reach the target; wall time where the work is another process's, such as the database's."""

    @property
    def cpu_ratios(self) -> list[float]:
        """One per round, of CPU time."""
        return self._ratios(lambda cost: cost.cpu_us)

    @property
    def wall_ratios(self) -> list[float]:
        """One per round, of wall time."""
        return self._ratios(lambda cost: cost.wall_us)

    @property
    def ratio(self) -> float:
        """The median of the ratios that have to reach the target."""
        return statistics.median(self.cpu_ratios if self.judged_by == "CPU" else self.wall_ratios)

    def _ratios(self, figure: Callable[[Cost], float]) -> list[float]:
        pairs = zip(self.subject_rounds, self.peer_rounds, strict=True)
        if self.ratio_of == "rates":
            return [figure(peer) / figure(subject) for subject, peer in pairs]
        return [figure(subject) / figure(peer) for subject, peer in pairs]


def median_of(rounds: Sequence[Cost], figure: Callable[[Cost], float]) -> float:
    return statistics.median(figure(cost) for cost in rounds)


Contender = Callable[[], Awaitable[Cost]]


async def take_turns(contenders: Mapping[str, Contender], *, rounds: int) -> dict[str, list[Cost]]:
    """Each contender once uncounted to warm up, then `rounds` times in turn: A B C, A B C and so on."""
    measured: dict[str, list[Cost]] = {name: [] for name in contenders}
    for contender in contenders.values():
        await contender()
    for _ in range(rounds):
        for name, contender in contenders.items():
            measured[name].append(await contender())
    return measured
