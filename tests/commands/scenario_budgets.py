"""What campaigns have spent before a scenario begins, as auctions find it in Redis.

`budgets` by campaign: `{"spent": "1.25", "reserved": "0.50", "spent_today": …, "reserved_today": …, "impressions": …,
"clicks": …}`, sums in the campaign's currency, all of them 0 where a scenario does not care. `unknown` in the place of
a campaign: nothing is known of any of them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from redis.asyncio import Redis

from domain.names import Names
from projections.budget_settlement import SETTLE

UNKNOWN = "unknown"


async def put_budgets(redis: Redis, names: Names, budgets: dict[str, dict[str, Any]]) -> None:
    """As the projection does once it has applied the log."""
    if UNKNOWN in budgets:
        return
    settle = redis.register_script(SETTLE)
    seconds, micros = await redis.time()
    for look in range(2):
        await settle(keys=names.budget_keys, args=[f"{seconds + look}.{micros:06}", 0, "", 1])
    accounts, _, _, changed = names.budget_data
    for campaign_id, budget in budgets.items():
        words = [_nanos(budget, name) for name in ("spent", "reserved")]
        words += [datetime.now(UTC).date().isoformat()]
        words += [_nanos(budget, name) for name in ("spent_today", "reserved_today")]
        words += ["-", "0", "0", str(budget.get("impressions", 0)), str(budget.get("clicks", 0)), "0"]
        await redis.hset(accounts, campaign_id, " ".join(words))
        await redis.zadd(changed, {campaign_id: await redis.hincrby(names.budget_offsets, "changes", 1)})


def _nanos(budget: dict[str, Any], name: str) -> str:
    return str(int(Decimal(budget.get(name, "0")).scaleb(9)))
