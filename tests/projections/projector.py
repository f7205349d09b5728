"""A projector as a process of its own, so that a test can kill it.

python -m tests.projections.projector ADDRESSES_AS_JSON PROJECTION…
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from projections.run import run_projectors
from projections.servers import Addresses

if __name__ == "__main__":
    addresses = msgspec.json.decode(sys.argv[1], type=Addresses)
    asyncio.run(run_projectors(addresses, sys.argv[2:], asyncio.Event()))
