"""Everything dies, again and again, while traffic flows; in the end every read model says what the topics say."""

from __future__ import annotations

import sys
from pathlib import Path

from projections.registry import REGISTRY
from tests.chaos.expected import EXPECTED
from tests.chaos.run import run
from tests.chaos.schedule import KINDS, schedule
from tests.chaos.strikes import STRIKES

SEED = 7
SECONDS = 20.0


def test_the_same_seed_gives_the_same_schedule() -> None:
    """Another one gives another; and each kind of strike comes as often as any other."""
    hour = schedule(1, 3_600)
    assert hour == schedule(1, 3_600)
    assert hour != schedule(2, 3_600)
    assert hour[:10] == schedule(1, 60)[:10]
    kinds = [strike.kind for strike in hour]
    counts = {kinds.count(kind) for kind in KINDS}
    assert max(counts) - min(counts) <= 1
    assert min(counts) > 100


def test_nothing_is_left_out() -> None:
    """Every kind of strike can be carried out, and of every projection it is known what it should hold."""
    assert STRIKES.keys() == KINDS.keys()
    assert EXPECTED.keys() == {each.name for each in REGISTRY}


async def test_short_chaos(data_folder: Path) -> None:
    """The short form; the long one is `make chaos`."""
    said = [f"seed {SEED}"]
    verdict = await run(SEED, SECONDS, data_folder / "chaos", lambda line, _: said.append(line))
    sys.stdout.write("\n".join([*said, str(verdict.outcomes), ""]))
    assert verdict.findings == []
    assert verdict.events > 500
