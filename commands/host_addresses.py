"""Names of hosts to addresses that may be connected to, remembered for a short while."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import NamedTuple

from commands.ports import BidderUnreachable
from domain.address_guard import refusal
from domain.limits import HOST_FOUND_SECONDS, HOST_NOT_FOUND_SECONDS, HOSTS_CACHED_MAX


class _Answer(NamedTuple):
    addresses: tuple[str, ...]
    fault: str | None
    expires_at: float


class HostAddresses:
    """Asks the system's resolver, keeps its answers, and lets only addresses through that the guard allows."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._answers: dict[str, _Answer] = {}
        self._asking: dict[str, asyncio.Task[_Answer]] = {}

    def __repr__(self) -> str:
        return f"HostAddresses(allow_private={self._allow_private}, {len(self._answers)} cached)"

    async def of(self, host: str) -> tuple[str, ...]:
        """At least one address; raises BidderUnreachable when none is known or none is allowed."""
        now = asyncio.get_running_loop().time()
        answer = self._answers.get(host)
        if answer is None or answer.expires_at <= now:
            # Calls for the same host share one question.
            task = self._asking.get(host)
            if task is None:
                task = self._asking[host] = asyncio.create_task(self._ask(host))
            answer = await asyncio.shield(task)
        if answer.fault is not None:
            raise BidderUnreachable(answer.fault)
        return answer.addresses

    async def close(self) -> None:
        """Gives up questions that are still open."""
        for task in list(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def _ask(self, host: str) -> _Answer:
        try:
            addresses, fault = await self._resolve(host)
        finally:
            del self._asking[host]
        if len(self._answers) >= HOSTS_CACHED_MAX:
            del self._answers[next(iter(self._answers))]
        seconds = HOST_NOT_FOUND_SECONDS if fault else HOST_FOUND_SECONDS
        answer = _Answer(addresses, fault, asyncio.get_running_loop().time() + seconds)
        self._answers.pop(host, None)  # so that the oldest answer stands first
        self._answers[host] = answer
        return answer

    async def _resolve(self, host: str) -> tuple[tuple[str, ...], str | None]:
        """Allowed addresses, or why there are none."""
        try:
            found = [str(ip_address(host))]
        except ValueError:
            loop = asyncio.get_running_loop()
            try:
                infos = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                return (), f"{host} cannot be resolved: {error}"
            found = list(dict.fromkeys(str(info[4][0]) for info in infos))
        refusals = {address: refusal(address, allow_private=self._allow_private) for address in found}
        allowed = tuple(address for address, reason in refusals.items() if reason is None)
        if allowed:
            return allowed, None
        return (), f"{host} is not allowed: " + ", ".join(reason for reason in refusals.values() if reason)
