"""What strikes, and when: drawn from a seed and nothing else, so that a run can be had again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from projections.registry import REGISTRY

IN_GENERATIONS = tuple(each.name for each in REGISTRY if each.tables)
IN_PLACE = tuple(each.name for each in REGISTRY if each.place == "redis")
REBUILT = IN_GENERATIONS + IN_PLACE
MAY_BREAK = tuple(name for name in REBUILT if name != "ledger")
"""Not the ledger: what is applied to it late is booked on the first day that is open by then, and not where the log
has it. No count from the topics can tell of that."""
SESSION_S = 6.0
"""As `projections.engine.SESSION_TIMEOUT_MS`: whose worker is silent for longer, its partitions go to others."""
WORKERS = 2
PACE_S = 1.0
"""Between two strikes, on average."""


class Strike(NamedTuple):
    """One thing that is done to the installation."""

    at_s: float
    """From the beginning."""
    kind: str
    """As in `strikes.py`."""
    target: str = ""
    """A projection, or the number of a worker."""
    lasts_s: float = 0.0
    """Until it is taken back, or until the command is killed."""
    is_hard: bool = False
    """SIGKILL, where a server would be stopped in an orderly way otherwise."""

    def __str__(self) -> str:
        words = [f"{self.at_s:6.1f} s", self.kind.replace("_", " "), self.target]
        words += ["with SIGKILL"] * self.is_hard + [f"for {self.lasts_s:.1f} s"] * bool(self.lasts_s)
        return "  ".join(word for word in words if word)


Draw = Callable[[Random], dict[str, Any]]
"""What a Strike of one kind has beside its kind and its time."""


def _worker(chance: Random) -> dict[str, Any]:
    return {"target": str(chance.randrange(WORKERS))}


def _suspended(chance: Random) -> dict[str, Any]:
    return _worker(chance) | {"lasts_s": round(SESSION_S + chance.uniform(1, 4), 1)}


def _server(chance: Random) -> dict[str, Any]:
    return {"is_hard": chance.random() < 0.5}


def _nothing(_: Random) -> dict[str, Any]:
    return {}


def _of(projections: tuple[str, ...], shortest_s: float = 0.0, longest_s: float = 0.0) -> Draw:
    def draw(chance: Random) -> dict[str, Any]:
        drawn = {"target": chance.choice(projections)}
        return drawn | {"lasts_s": round(chance.uniform(shortest_s, longest_s), 1)} if longest_s else drawn

    return draw


KINDS: dict[str, Draw] = {
    "kill_worker": _worker,
    "suspend_worker": _suspended,
    "break_handler": _of(MAY_BREAK, 2, 5),
    "poison": _of(("auctions", "engagements", "catalogue")),
    "restart_kafka": _server,
    "restart_postgres": _server,
    "restart_redis": _server,
    "forget_redis": _nothing,
    "cut_connections": _nothing,
    "rebuild": _of(REBUILT),
    "rebuild_and_keep": _of(IN_GENERATIONS),
    "rebuild_and_die": _of(REBUILT, 1, 5),
    "verify": _of(IN_GENERATIONS),
    "swap": _of(IN_GENERATIONS),
    "cancel": _of(IN_GENERATIONS),
    "retire": _of(IN_GENERATIONS),
    "pause": _of(REBUILT, 2, 5),
    "mend": _nothing,
    "close_day": _nothing,
}
"""Each kind of strike, and what is drawn of it."""


def schedule(seed: int, seconds: float) -> list[Strike]:
    """So many seconds of strikes: the same for the same arguments, and every kind as often as any other."""
    return list(_strikes(Random(seed), seconds))


def _strikes(chance: Random, seconds: float) -> Iterator[Strike]:
    at_s = 0.0
    while True:
        for kind in chance.sample(list(KINDS), len(KINDS)):
            at_s += chance.uniform(0, 2 * PACE_S)
            drawn = KINDS[kind](chance)
            if at_s >= seconds:
                return
            yield Strike(round(at_s, 1), kind, **drawn)
