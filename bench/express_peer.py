"""The Express + kafkajs peer: installed into the cache on demand, run with the machine's Node."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.installation import Installation
from bench.process import Process, ProcessFailed, free_port, running
from gavel.settings import Settings

SOURCE = Path(__file__).parent / "peers" / "express"
INSTALL_SECONDS = 180.0


class NoExpressPeer(RuntimeError):
    """The Express peer cannot run on the machine; the message says why."""


async def install(settings: Settings) -> Path:
    """The folder of the installed peer. Raises NoExpressPeer."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NoExpressPeer("Node and npm are not installed")
    lock = (SOURCE / "package-lock.json").read_bytes()
    folder = settings.cache.expanduser() / "bench" / f"express-{hashlib.sha256(lock).hexdigest()[:16]}"
    await asyncio.to_thread(_copy_source, folder)
    if not (folder / "node_modules" / "kafkajs").exists():
        command = (npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
        async with running("npm", command, folder=folder) as process:
            try:
                await process.success(INSTALL_SECONDS)
            except ProcessFailed as error:
                raise NoExpressPeer(f"npm could not install it: {str(error).splitlines()[-1]}") from error
    return folder


def _copy_source(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "server.js"):
        shutil.copyfile(SOURCE / name, folder / name)


@asynccontextmanager
async def express_api(
    folder: Path, installation: Installation, *, topic: str, flush_ms: int
) -> AsyncIterator[tuple[Process, int]]:
    """The peer, serving; with `flush_ms` above 0 it sends the impressions of so many milliseconds together."""
    port = free_port()
    await installation.create_topic(topic)
    environment = {
        "KAFKA": installation.urls.kafka_url,
        "TOPIC": topic,
        "PORT": str(port),
        "FLUSH_MS": str(flush_ms),
        "NODE_ENV": "production",
        "KAFKAJS_NO_PARTITIONER_WARNING": "1",
    }
    async with running(f"express {topic}", ("node", "server.js"), environment=environment, folder=folder) as process:
        await process.listening(port)
        yield process, port
