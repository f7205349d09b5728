"""What strikes, and when: drawn from a seed and nothing else, so that a run can be had again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import Any, NamedTuple

from projections.registry import REGISTRY

IN_GENERATIONS = tuple(each.name for each in REGISTRY if each.tables)
UNFED = {"audiences", "audiences_bulk"}
"""Nothing of the stream is in their topics."""
IN_PLACE = tuple(each.name for each in REGISTRY if each.place == "redis" and each.name not in UNFED)
REBUILT = IN_GENERATIONS + IN_PLACE
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


def _focus(_: Random) -> dict[str, Any]:
    return {"target": FOCUS}


def _of(projections: tuple[str, ...], shortest_s: float = 0.0, longest_s: float = 0.0) -> Draw:
    def draw(chance: Random) -> dict[str, Any]:
        drawn = {"target": chance.choice(projections)}
        return drawn | {"lasts_s": round(chance.uniform(shortest_s, longest_s), 1)} if longest_s else drawn

    return draw


FOCUS = "the projection of the round"
KINDS: dict[str, Draw] = {
    "kill_worker": _worker,
    "suspend_worker": _suspended,
    "break_handler": _of(REBUILT, 2, 5),
    "poison": _of(("auctions", "engagements", "catalogue")),
    "restart_kafka": _server,
    "restart_postgres": _server,
    "restart_redis": _server,
    "forget_redis": _nothing,
    "cut_connections": _nothing,
    "rebuild_and_keep": _focus,
    "verify": _focus,
    "swap": _focus,
    "swap_back": _focus,
    "rebuild": _focus,
    "retire": _focus,
    "cancel": _focus,
    "rebuild_in_place": _of(IN_PLACE),
    "rebuild_and_die": _of(REBUILT, 2, 7),
    "pause": _of(REBUILT, 2, 5),
    "mend": _nothing,
    "close_day": _nothing,
}
"""Each kind of strike, and what is drawn of it."""
OPERATOR = ("rebuild_and_keep", "verify", "swap", "swap_back", "rebuild", "retire", "cancel")
"""What one operator does with one projection in a round, in an order that makes sense."""
RARE = {"restart_kafka": 3}
"""Once in so many rounds: while the log is away, nothing else can happen."""


def schedule(seed: int, seconds: float) -> list[Strike]:
    """So many seconds of strikes, the same for the same arguments: round after round of all kinds, shuffled."""
    return list(_strikes(Random(seed), seconds))


def _strikes(chance: Random, seconds: float) -> Iterator[Strike]:
    at_s = 0.0
    for number in count():
        focus, steps = chance.choice(IN_GENERATIONS), iter(OPERATOR)
        kinds = [kind for kind in KINDS if number % RARE.get(kind, 1) == 0]
        chance.shuffle(kinds)
        for shuffled in kinds:
            kind = next(steps) if shuffled in OPERATOR else shuffled
            at_s += chance.uniform(0, 2 * PACE_S)
            drawn = KINDS[kind](chance)
            if at_s >= seconds:
                return
            if drawn.get("target") == FOCUS:
                drawn["target"] = focus
            yield Strike(round(at_s, 1), kind, **drawn)
