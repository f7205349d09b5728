"""A group of `gavel`'s commands as a person or a script runs it: in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.projections.conftest import ReadSide


class Told(NamedTuple):
    code: int | None
    out: str
    err: str


class Shell:
    def __init__(self, group: str, variables: Mapping[str, str]) -> None:
        """`variables` go before those of this process."""
        self._group = group
        self._environment = {**os.environ, **variables}

    async def __call__(self, *words: str) -> Told:
        return await self.ended(await self.started(*words))

    async def started(self, *words: str) -> Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gavel", self._group, *words, env=self._environment, stdout=pipe, stderr=pipe
        )

    async def ended(self, process: Process) -> Told:
        """What it said until its end."""
        out, err = await process.communicate()
        return Told(process.returncode, out.decode(), err.decode())

    async def json(self, *words: str) -> tuple[int | None, Any]:
        """The exit code and what was printed with `--json`."""
        told = await self(*words, "--json")
        return told.code, msgspec.json.decode(told.out)


def shell_beside(read_side: ReadSide, data: Path, group: str) -> Shell:
    """For a group of commands beside the servers and the log of a test."""
    addresses = read_side.addresses
    return Shell(
        group,
        {
            "GAVEL_KAFKA_URL": addresses.kafka_url,
            "GAVEL_POSTGRES_URL": addresses.postgres_url,
            "GAVEL_REDIS_URL": addresses.redis_url,
            "GAVEL_NAMESPACE": addresses.names.namespace,
            "GAVEL_DATA": str(data),
        },
    )
