"""A group of `gavel`'s commands as a person or a script runs it: in a process of its own.

The process is forked from one that has imported the commands before, which takes longer than most of them run.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec

from gavel import cli
from gavel.leash import die_with_parent
from tests.projections.conftest import ReadSide

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__, *(each.partition(":")[0] for each in cli.COMMANDS.values())])


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
        return await asyncio.to_thread(self._forked, words)

    async def started(self, *words: str) -> Process:
        """A process that can be signalled, started from nothing."""
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

    def _forked(self, words: Sequence[str]) -> Told:
        with TemporaryDirectory() as name:
            out, err = Path(name, "out"), Path(name, "err")
            process = FORKS.Process(target=_run, args=((self._group, *words), self._environment, out, err))
            process.start()
            process.join()
            told = Told(process.exitcode, out.read_text(), err.read_text())
            process.close()
            return told


def _run(words: Sequence[str], environment: Mapping[str, str], out: Path, err: Path) -> None:
    die_with_parent(signal.SIGKILL)
    for path, number in ((out, 1), (err, 2)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["gavel", *words]
    cli.main()


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
