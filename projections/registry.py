"""The projections, registered once: the engine, the queries and `gavel topology` all read this list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Table

from domain.errors import NotFound
from domain.names import Names
from projections.auction_log import TABLES as AUCTION_LOG_TABLES
from projections.auction_log import AuctionLog
from projections.audiences import Audiences, AudiencesBulk
from projections.bidder_health import BidderHealth
from projections.budgets import Budgets
from projections.catalogue import Catalogue
from projections.catalogue_cache import CatalogueCache
from projections.delivery import Delivery
from projections.feed_store import FeedStore
from projections.figures import COUNTED
from projections.generation import schema_of
from projections.layout import fingerprint
from projections.ledger import Ledger
from projections.notices import TABLES as NOTICE_TABLES
from projections.notices import Notices
from projections.postgres_store import PostgresStore
from projections.projection import Projection
from projections.redis_store import RedisStore
from projections.servers import Servers
from projections.store import Store
from projections.tables import DELIVERY_TABLES, read_models
from projections.traffic import TABLES as TRAFFIC_TABLES
from projections.traffic import Traffic


def _redis_store(servers: Servers, made: Any) -> RedisStore[Any]:
    return RedisStore(servers.redis, servers.pool, made)


def _feed_store(servers: Servers, made: Any) -> FeedStore:
    return FeedStore(servers.redis, servers.pool, made, servers.feed_batch)


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """One projection: what it reads, where it writes, and how it is made."""

    name: str
    topics: tuple[str, ...]
    """Without the namespace, as in `domain.names.TOPICS`."""
    place: Literal["postgres", "redis"]
    writes: Callable[[Names], tuple[str, ...]]
    """Its tables in Postgres, or its keys and channels in Redis."""
    projection: Callable[[Names], Projection[Any]]
    version: int = 1
    """Raised when its rows mean something else than before, in the same tables: then it is built anew."""
    store: Callable[[Servers, Any], RedisStore[Any]] = _redis_store
    """Of one in Redis."""
    never_rebuilt: str | None = None
    """Why it cannot be built anew, where it cannot."""

    def topics_of(self, names: Names) -> tuple[str, ...]:
        return tuple(f"{names.namespace}.{topic}" for topic in self.topics)

    @property
    def tables(self) -> tuple[Table, ...]:
        """What every generation has of its own; nothing where the projection is built in place."""
        if self.place == "redis" or self.never_rebuilt is not None:
            return ()
        return tuple(read_models.tables[name] for name in sorted(self.writes(Names())))

    @property
    def layout(self) -> str:
        """Fingerprint of what its generations consist of; empty where the projection is built in place."""
        return fingerprint(self.tables, self.version) if self.tables else ""

    def group(self, names: Names, generation: int) -> str:
        """The consumer group of a generation's workers."""
        return names.group(self.name, generation if self.tables else None)

    async def opened(self, servers: Servers, generation: int) -> tuple[Projection[Any], Store[Any]]:
        """The projection and the store that a generation is written to."""
        made: Any = self.projection(servers.names)
        if self.place == "redis":
            return made, self.store(servers, made)
        pool = await servers.pool_of(schema_of(self.name, generation)) if self.tables else servers.pool
        return made, PostgresStore(pool, made, generation)


BUDGETS = "budgets"
"""Has a companion that ends its reservations: see `budget_settlement.py`."""
FEEDS: tuple[str, ...] = ("audiences", "audiences_bulk")
"""Have two companions: see `feed_audit.py` and `feed_tidying.py`."""

REGISTRY: tuple[Registration, ...] = (
    Registration(
        name="catalogue",
        topics=("catalogue",),
        place="postgres",
        writes=lambda _: ("entities",),
        projection=lambda _: Catalogue(),
    ),
    Registration(
        name="catalogue_cache",
        topics=("catalogue",),
        place="redis",
        writes=lambda names: (names.catalogue_entities, names.catalogue_offsets, names.catalogue_channel),
        projection=CatalogueCache,
    ),
    Registration(
        name="auction_log",
        topics=("auctions", "engagements"),
        place="postgres",
        writes=lambda _: AUCTION_LOG_TABLES,
        projection=lambda _: AuctionLog(),
    ),
    Registration(
        name="delivery",
        topics=("auctions", "engagements"),
        place="postgres",
        writes=lambda _: DELIVERY_TABLES,
        projection=lambda _: Delivery(),
    ),
    Registration(
        name="ledger",
        topics=("engagements",),
        place="postgres",
        writes=lambda _: ("ledger", "ledger_charges", "ledger_closings"),
        projection=lambda _: Ledger(),
    ),
    Registration(
        name=BUDGETS,
        topics=("auctions", "engagements"),
        place="redis",
        writes=lambda names: (names.budget_offsets, *names.budget_data),
        projection=Budgets,
    ),
    Registration(
        name="audiences",
        topics=("feeds.changes",),
        place="redis",
        writes=lambda names: _feed_keys(names, "changes"),
        projection=Audiences,
        store=_feed_store,
    ),
    Registration(
        name="audiences_bulk",
        topics=("feeds.bulk",),
        place="redis",
        writes=lambda names: _feed_keys(names, "bulk"),
        projection=AudiencesBulk,
        store=_feed_store,
    ),
    Registration(
        name="bidder_health",
        topics=("auctions",),
        place="postgres",
        writes=lambda _: ("bidder_health",),
        projection=lambda _: BidderHealth(),
    ),
    Registration(
        name="traffic",
        topics=("engagements",),
        place="postgres",
        writes=lambda _: TRAFFIC_TABLES,
        projection=lambda _: Traffic(),
    ),
    Registration(
        name="notices",
        topics=("auctions", "engagements"),
        place="postgres",
        writes=lambda _: NOTICE_TABLES,
        projection=lambda _: Notices(),
        never_rebuilt="its notices would be sent to the bidders once more",
    ),
)

LIVE = "live"
"""Runs beside them, but keeps nothing and cannot be rebuilt: see `live.py`."""
RUNNABLE: tuple[str, ...] = (*(each.name for each in REGISTRY), LIVE)


def registered(name: str) -> Registration:
    """The projection of that name. Raises NotFound, naming those there are."""
    for each in REGISTRY:
        if each.name == name:
            return each
    raise NotFound(f"there is no projection {name!r}, but {', '.join(each.name for each in REGISTRY)}")


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the map: a projection, its consumer group, what flows in and where it ends."""

    projection: str
    group: str | None
    """None where one process reads every partition."""
    topics: tuple[str, ...]
    events: tuple[str, ...]
    place: Literal["postgres", "redis"]
    writes: tuple[str, ...]


def topology(names: Names) -> Sequence[Stop]:
    """The map that `gavel topology` prints."""
    stops = [
        Stop(
            projection=each.name,
            group=names.group(each.name, "<n>" if each.tables else None),
            topics=each.topics_of(names),
            events=tuple(event.__name__ for event in each.projection(names).events),
            place=each.place,
            writes=each.writes(names),
        )
        for each in REGISTRY
    ]
    live = Stop(
        projection=LIVE,
        group=None,
        topics=(names.auctions, names.engagements),
        events=tuple(event.__name__ for event in COUNTED),
        place="redis",
        writes=(names.live_channel,),
    )
    return [*stops, live]


def _feed_keys(names: Names, topic: str) -> tuple[str, ...]:
    return (*names.feed_progress(topic), *names.feed_keys("<client>"), names.feed_records("<client>", "<since>"))
