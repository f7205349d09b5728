"""Starts the simulated bidders, each in a process of its own, and registers them with the exchange."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import msgspec

from gavel import child
from gavel.child import Child, Program
from gavel.errors import CannotRun, explained
from gavel.simulate.bidders import HOST
from gavel.simulate.catalogue_client import CatalogueClient
from gavel.simulate.characters import CHARACTERS, Character
from gavel.simulate.exchange_client import ExchangeClient, ExchangeUnreachable

PORTS_FILE = "simulated-bidders.json"
"""Inside the data folder: character to port, so that bidders come back at the address they are registered with."""
START_SECONDS = 20.0


class BidderProcesses:
    """The three bidders: running from `start` to `stop`."""

    def __init__(self, data: Path, seed: int) -> None:
        self._ports_file = data / PORTS_FILE
        self._seed = seed
        self._children: list[Child] = []
        self._ports: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"BidderProcesses({self._ports})"

    async def __aenter__(self) -> Self:
        """Starts those that are not running already. Raises CannotRun."""
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.stop)
            known = self._read_ports()
            await asyncio.gather(*(self._start(character, known.get(character, 0)) for character in CHARACTERS))
            self._write_ports()
            undo.pop_all()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        await asyncio.gather(*(each.stop() for each in self._children))
        self._children.clear()

    async def watch(self) -> None:
        """Raises CannotRun when a bidder process ends; never returns."""
        await asyncio.gather(asyncio.Event().wait(), *(self._end(each) for each in self._children))

    async def register(self, catalogue: CatalogueClient) -> dict[str, str]:
        """Registers those that the exchange does not know at their present address.

        Returns the ids by character. Raises CannotRun, ExchangeUnreachable.
        """
        known = {(entity["name"], entity["endpoint"]): entity["id"] async for entity in catalogue.active("bidders")}
        ids = {}
        for key, character in CHARACTERS.items():
            terms = _terms(character, self._ports[key])
            ids[key] = (
                known.get((terms["name"], terms["endpoint"])) or (await catalogue.register("bidders", terms))["id"]
            )
        return ids

    async def _start(self, character: str, port: int) -> None:
        if port and await _answers(character, port):
            self._ports[character] = port
            return
        first_line: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        arguments = (character, "--port", str(port), "--seed", str(self._seed))
        program = Program(
            name=f"bidder {character}",
            command=(sys.executable, "-m", "gavel.simulate.bidders", *arguments),
            folder=Path.cwd(),
        )
        started = await child.start(program, lambda line: None if first_line.done() else first_line.set_result(line))
        self._children.append(started)
        try:
            line = await asyncio.wait_for(first_line, START_SECONDS)
        except TimeoutError:
            raise CannotRun(f"the simulated bidder {character!r} does not start within {START_SECONDS:.0f} s") from None
        if not line.isdigit():
            raise CannotRun(f"the simulated bidder {character!r} does not start: {line}")
        self._ports[character] = int(line)

    async def _end(self, started: Child) -> None:
        code = await started.wait()
        raise CannotRun(f"the simulated {started.program.name} has ended with exit code {code}")

    def _read_ports(self) -> dict[str, int]:
        try:
            return msgspec.json.decode(self._ports_file.read_bytes(), type=dict[str, int])
        except (OSError, msgspec.DecodeError):
            return {}

    def _write_ports(self) -> None:
        with explained(self._ports_file, "write"):
            self._ports_file.parent.mkdir(parents=True, exist_ok=True)
            self._ports_file.write_bytes(msgspec.json.encode(self._ports))


def endpoint(port: int) -> str:
    """Where the bidder at this port takes bid requests."""
    return f"http://{HOST}:{port}/bid"


def _terms(character: Character, port: int) -> dict[str, Any]:
    return {
        "name": character.name,
        "endpoint": endpoint(port),
        "seats": [character.seat],
        "media_types": ["banner"],
        "currency": character.currency,
    }


async def _answers(character: str, port: int) -> bool:
    """Whether this bidder is already running there."""
    client = ExchangeClient(f"http://{HOST}:{port}")
    try:
        return (await client.get("/")).body == character.encode()
    except ExchangeUnreachable:
        return False
    finally:
        client.close()
