"""Memory that a reader of the log has freed, handed back to the system.

Python keeps lists of freed tuples, each of which holds a block of memory that is free otherwise, and only a full
collection lets go of them; the C library keeps what was freed between what lives. Together a worker that replays would
grow by 100 MB with every million events.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from typing import cast

RECORDS = 200_000
"""After so many it is handed back, which takes some milliseconds."""


class FreedMemory:
    """Counts records. Less is handed back where the C library has no `malloc_trim`, which glibc has."""

    def __init__(self) -> None:
        self._records = 0
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._trim = cast("Callable[[int], int]", trim or (lambda _: 0))

    def count(self, records: int) -> None:
        """So many more were read."""
        self._records += records
        if self._records >= RECORDS:
            self._records = 0
            gc.collect()
            self._trim(0)
