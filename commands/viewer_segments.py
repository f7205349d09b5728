"""Finds out which segments a viewer is in, of those that live campaigns are for, as far as anybody may know.

It is one look into Redis, in the round trip that other commands share, and nothing of it is kept: what a feed client
has changed the next auction sees. Values are unsealed here, and only their segments are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

import structlog
from redis.exceptions import RedisError

from commands.ports import Clock, SealedRecord
from commands.redis_pipeline import RedisAway, RedisCalls, Script
from domain.audience import NOT_ASKED, Audience, record_keys, segments_in
from domain.catalogue import SegmentTarget
from domain.errors import Unavailable
from domain.feeds.sealing import DataKey, Unreadable
from domain.limits import SEGMENT_CLIENTS_READ_MAX, SEGMENTS_READ_MAX_SECONDS
from domain.market import Market
from domain.names import Names
from domain.openrtb.request import BidRequest
from domain.openrtb.restrictions import Restriction, may_be_profiled
from domain.terms.feed_client import feed_client_id

Opening = Callable[[str, str], DataKey | None]
"""A feed client's data key by its name; None where it is destroyed or nobody's. Raises Unavailable."""
Answer = Sequence[bytes | None]
"""The values under the keys that were asked for."""
_NOBODY: Final = Audience("nobody")
_PAUSED: Final = Audience("paused")
_RESTRICTED: Final = Audience("restricted")

_log = structlog.get_logger(__name__)


class ViewerSegments:
    """Asks each feed client that a live campaign is for, all at once."""

    def __init__(
        self,
        pipeline: RedisCalls,
        names: Names,
        *,
        look_up: str,
        unpacked: Callable[[bytes], SealedRecord],
        opening: Opening,
        clock: Clock,
        seconds: float = SEGMENTS_READ_MAX_SECONDS,
    ) -> None:
        """`look_up` is the script that answers records by their keys, `unpacked` what one of its values says.

        `unpacked` may raise Unreadable.

        No auction waits longer than `seconds`.
        """
        self._pipeline = pipeline
        self._names = names
        self._look_up = Script(look_up)
        self._unpacked = unpacked
        self._opening = opening
        self._clock = clock
        self._seconds = seconds

    def __repr__(self) -> str:
        return f"ViewerSegments({self._pipeline!r})"

    async def __call__(self, market: Market, request: BidRequest, restricted_by: tuple[Restriction, ...]) -> Audience:
        """What is known of who the request is for. Never raises."""
        if not market.direct.sought.clients:
            return NOT_ASKED
        active = (each for each in market.direct.sought.clients if each in market.feed_clients)
        clients = list(islice(active, SEGMENT_CLIENTS_READ_MAX))
        if not clients:
            return _PAUSED
        keys = record_keys(request)
        if not keys:
            return _NOBODY
        if not may_be_profiled(request, restricted_by):
            return _RESTRICTED
        found: list[SegmentTarget] = []
        is_whole = True
        for client, answer in zip(clients, await self._asked(clients, keys), strict=True):
            segments = None if answer is None else self._segments(client, keys, answer)
            if segments is None:
                is_whole = False
            else:
                found += market.direct.sought.among(client, segments)
        return Audience("found" if found else "none" if is_whole else "unavailable", tuple(found))

    async def _asked(self, clients: Sequence[str], keys: Sequence[str]) -> list[Answer | None]:
        """None for a client of which nothing was heard in time."""
        asked = [asyncio.ensure_future(self._answer(feed_client_id(each), keys)) for each in clients]
        _, late = await asyncio.wait(asked, timeout=self._seconds)
        for each in late:
            each.cancel()
        return [None if each in late else each.result() for each in asked]

    async def _answer(self, client_id: str, keys: Sequence[str]) -> Answer | None:
        try:
            answer: Answer = await self._pipeline.evaluate(self._look_up, self._names.feed_keys(client_id), *keys)
        except RedisAway:
            return None
        except RedisError as error:
            _log.error("redis refused to look up segments", client_id=client_id, error=str(error))
            return None
        return answer

    def _segments(self, client: str, keys: Sequence[str], answer: Answer) -> Sequence[str] | None:
        """Of the first record; None where it cannot be opened at the moment."""
        now, client_id = self._clock.now(), feed_client_id(client)
        for key, value in zip(keys, answer, strict=True):
            if value is None:
                continue
            try:
                record = self._unpacked(value)
                if record.has_expired(now):
                    continue
                data_key = self._opening(client_id, record.key_id)
                if data_key is None:
                    return ()
                return segments_in(data_key.unseal(record.ciphertext, client=client_id, topic=record.letter, key=key))
            except Unreadable:
                return ()
            except Unavailable:
                return None
        return ()
