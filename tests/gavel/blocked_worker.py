"""A worker whose handler computes for ever at the first event of its first life.

python -m tests.gavel.blocked_worker FILE ADDRESSES_AS_JSON STILL_S

`re` does not give the interpreter away while it matches, so that no thread of the process comes to its turn either.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from gavel.standstill import ending_at_a_standstill
from projections.catalogue import Catalogue
from projections.run import run_projectors
from projections.servers import Addresses


def main(file: Path, addresses: Addresses, still_s: float) -> None:
    fold = Catalogue.fold

    def blocked_once(self: Catalogue, *arguments: Any) -> Any:
        if not file.exists():
            file.touch()
            re.fullmatch("(a+)+", "a" * 60 + "b")
        return fold(self, *arguments)

    Catalogue.fold = blocked_once  # type: ignore[method-assign, assignment]
    work = run_projectors(addresses, ["catalogue"], asyncio.Event())
    asyncio.run(ending_at_a_standstill(work, still_s=still_s))


if __name__ == "__main__":
    main(Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Addresses), float(sys.argv[3]))
