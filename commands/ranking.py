"""Ranks the bids of an auction in Redis sorted sets; by the same rule in the process while Redis is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from redis.exceptions import RedisError

from commands.ports import Ranked
from commands.redis_pipeline import RedisAway, RedisCalls, Script
from domain.auction import Candidate, rank, ranking_member, ranking_score
from domain.names import Names

RANKING_EXPIRY_SECONDS: Final = 60
"""Long enough to look at a ranking by hand, short enough to cost no memory worth counting."""

# KEYS: one sorted set per imp. ARGV: expiry in seconds, then per imp: number of bids, then score and member of each.
# Written and read in one step, so nobody ever sees half a ranking; `DEL` first, so a repeated call ranks the same.
RANK = """
local expiry = ARGV[1]
local at = 2
local ranked = {}
for i, key in ipairs(KEYS) do
  local last = at + 2 * ARGV[at]
  redis.call('DEL', key)
  redis.call('ZADD', key, unpack(ARGV, at + 1, last))
  redis.call('EXPIRE', key, expiry)
  ranked[i] = redis.call('ZRANGE', key, 0, -1)
  at = last + 1
end
return ranked
"""

_log = structlog.get_logger(__name__)


class RedisRanking:
    """Implements `ports.Ranking`. Works on a cluster: all keys of an auction share its hash tag."""

    def __init__(self, pipeline: RedisCalls, names: Names) -> None:
        self._pipeline = pipeline
        self._names = names
        self._script = Script(RANK)

    def __repr__(self) -> str:
        return f"RedisRanking({self._pipeline!r})"

    async def rank(self, auction_id: str, candidates: Mapping[str, Sequence[Candidate]]) -> Ranked:
        """Ranks the candidates of every imp, one script call for all of them."""
        contested = {imp_id: bids for imp_id, bids in candidates.items() if bids}
        if not contested:
            return Ranked(candidates, "redis")
        try:
            ranked = await self._rank_in_redis(auction_id, contested)
        except RedisAway:
            return Ranked({imp_id: rank(bids) for imp_id, bids in candidates.items()}, "process")
        except RedisError as error:
            _log.error("redis refused a ranking", auction_id=auction_id, error=str(error))
            return Ranked({imp_id: rank(bids) for imp_id, bids in candidates.items()}, "process")
        return Ranked({**candidates, **ranked}, "redis")

    async def _rank_in_redis(
        self, auction_id: str, contested: Mapping[str, Sequence[Candidate]]
    ) -> dict[str, list[Candidate]]:
        keys = tuple(self._names.ranking_key(auction_id, imp_id) for imp_id in contested)
        arguments: list[Any] = [RANKING_EXPIRY_SECONDS]
        by_member: list[dict[bytes, Candidate]] = []
        for bids in contested.values():
            members = {ranking_member(bid): bid for bid in bids}
            by_member.append({member.encode(): bid for member, bid in members.items()})
            arguments.append(len(bids))
            for member, bid in members.items():
                arguments += (ranking_score(bid), member)
        orders = await self._pipeline.evaluate(self._script, keys, *arguments)
        return {
            imp_id: [bids[member] for member in order]
            for imp_id, bids, order in zip(contested, by_member, orders, strict=True)
        }
