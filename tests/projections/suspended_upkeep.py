"""A worker that suspends itself when it is about to compare two generations.

python -m tests.projections.suspended_upkeep ADDRESSES_AS_JSON PROJECTION…
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import msgspec

from projections import upkeep
from projections.run import run_projectors
from projections.servers import Addresses


async def suspended(*_: object) -> None:
    sys.stdout.write("suspended\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    upkeep.verify = suspended  # type: ignore[assignment] # it never returns
    addresses = msgspec.json.decode(sys.argv[1], type=Addresses)
    asyncio.run(run_projectors(addresses, sys.argv[2:], asyncio.Event()))
