"""A projector as a process of its own, so that a test can kill it.

python -m tests.projections.projector ADDRESSES_AS_JSON PROJECTION…
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from projections.postgres_store import PostgresStore
from projections.run import run_projectors
from projections.servers import Addresses

BATCH_RECORDS = 500
"""So that the log of a test is many batches."""

if __name__ == "__main__":
    PostgresStore.batch_max_records = BATCH_RECORDS
    addresses = msgspec.json.decode(sys.argv[1], type=Addresses)
    asyncio.run(run_projectors(addresses, sys.argv[2:], asyncio.Event()))
