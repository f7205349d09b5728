"""`gavel project` with a defect that can be switched on: a projection that fails at some of its events.

python -m tests.chaos.faulty_worker FOLDER [PROJECTION]…

A projection is broken for as long as FOLDER has a file of its name. It is the handler that fails, and never the store.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gavel.cli import main
from projections.batch import Record
from projections.engine import Projector
from projections.folding import CannotApply

EVERY = 37
"""Of so many offsets, one is of an event that a broken handler cannot take."""


def break_where(folder: Path) -> None:
    """Lets the handlers of this process fail where the folder says so."""
    rows = Projector._rows

    async def failing(self: Projector[Any], records: Sequence[Record]) -> Any:
        broken = [each.offset for each in records if each.offset % EVERY == 0]
        if broken and (folder / self._projection.name).exists():
            raise CannotApply(f"RuntimeError: the handler is broken at {broken[0]}")
        return await rows(self, records)

    Projector._rows = failing  # type: ignore[method-assign] # a copy of the product that has a defect


if __name__ == "__main__":
    break_where(Path(sys.argv[1]))
    sys.argv[:] = ["gavel", "project", *sys.argv[2:]]
    main()
