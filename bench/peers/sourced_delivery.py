"""The delivery report by the `eventsourcing` library (9.5.6, with psycopg 3.3): events and rows in Postgres.

Written as the library's documentation does it (its pages on projections, and on msgspec for events): an `Application`
keeps the events; a `Projection` hands each one to its view; the view is a `PostgresTrackingRecorder`, which records in
one transaction what an event adds and how far the view has come; a `ProjectionRunner` follows the application.
All that the documentation offers for speed is taken: events are msgspec's and not dataclasses, the database leaves out
the types that nobody counts, psycopg is the one in C, statements are prepared.

It counts by the same quarters of an hour and dimensions as `delivery`, and of auctions that are seen at most once it
ends with the same rows. It leaves out duplicates, clicks, voids, persons, bounds of texts, events that cannot be read,
more than one process, and a rebuild beside the old rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import singledispatch
from itertools import count, islice
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from uuid import UUID

import msgspec
from eventsourcing.application import Application
from eventsourcing.persistence import Mapper, StoredEvent, Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection
from eventsourcing.utils import get_topic
from psycopg.sql import SQL, Composed, Identifier

from bench.generated_events import History
from domain import events
from domain.codec import decode, encode
from domain.event_parts import DirectDemand, Inventory
from projections.tables import DELIVERY_DIMENSIONS

TABLE = "sourced_delivery"
KEY = ("quarter", "auction_quarter", *DELIVERY_DIMENSIONS)
ENGAGED = ("impressions_gross", "impressions", "spend_nanos", "revenue_nanos", "fee_nanos")
"""What a valid impression adds to."""
SUMS = ("requests", "imps", "bids", "wins", *ENGAGED)
QUARTER_MINUTES = 15
SAVED_AT_ONCE = 500
"""Auctions."""


class Logged(msgspec.Struct, frozen=True):
    """An event as the library wants it: the auction's, so many events of which came before."""

    originator_id: UUID
    originator_version: int
    event: events.Event


class LoggedMapper(Mapper[UUID]):
    """Keeps an event as the log does."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=get_topic(type(domain_event.event)),
            state=encode(domain_event.event),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        assert isinstance(stored_event.originator_id, UUID), "a text only where the application is told so"
        return Logged(stored_event.originator_id, stored_event.originator_version, decode(stored_event.state))


class SourcedAuctions(Application[UUID]):
    """Where the events are kept."""

    name = "sourced_auctions"

    def construct_mapper(self) -> Mapper[UUID]:
        return LoggedMapper(self.construct_transcoder())


class Addition(NamedTuple):
    """What an event adds to one row."""

    sums: tuple[str, ...]
    key: tuple[Any, ...]
    """Values of KEY."""
    amounts: tuple[int, ...]
    """One for each of `sums`."""


class DeliveryView(PostgresTrackingRecorder):
    """The report's table, and how far it has come."""

    def __init__(self, datastore: PostgresDatastore, **options: Any) -> None:
        super().__init__(datastore, **options)
        self.reached = 0
        """Number of the last event that was committed by this process."""
        self._table = Identifier(datastore.schema, TABLE)
        self._statements: dict[tuple[str, ...], bytes] = {}
        columns = [SQL("{} {} NOT NULL").format(Identifier(name), SQL(_type_of(name))) for name in KEY]
        columns += [SQL("{} numeric NOT NULL DEFAULT 0").format(Identifier(name)) for name in SUMS]
        self.sql_create_statements.append(
            SQL("CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY ({}))").format(
                self._table, SQL(", ").join(columns), _names(KEY)
            )
        )

    def add(self, additions: Iterable[Addition], tracking: Tracking) -> None:
        """One event's, in one transaction with its place."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            for each in additions:
                cursor.execute(self._statement(each.sums), (*each.key, *each.amounts), prepare=True)
        self.reached = tracking.notification_id

    def _statement(self, sums: tuple[str, ...]) -> bytes:
        """Written out once: psycopg would put the names in anew for every event."""
        if sums not in self._statements:
            added = [SQL("{0} = {1}.{0} + excluded.{0}").format(Identifier(name), Identifier(TABLE)) for name in sums]
            upsert = SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}").format(
                self._table,
                _names((*KEY, *sums)),
                SQL(", ").join(SQL("%s") for _ in (*KEY, *sums)),
                _names(KEY),
                SQL(", ").join(added),
            )
            self._statements[sums] = upsert.as_bytes()
        return self._statements[sums]


class SourcedDelivery(Projection[DeliveryView]):
    """Hands each event to the view."""

    name = TABLE
    topics = tuple(
        get_topic(each)
        for each in (events.BidRequested, events.BidPlaced, events.AuctionAwarded, events.ImpressionRecorded)
    )

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.add(additions(domain_event.event), tracking)


def environment(postgres_url: str) -> dict[str, str]:
    """What tells the library its database."""
    url = urlsplit(postgres_url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_HOST": url.hostname or "",
        "POSTGRES_PORT": str(url.port or ""),
        "POSTGRES_DBNAME": url.path.removeprefix("/"),
        "POSTGRES_USER": unquote(url.username or ""),
        "POSTGRES_PASSWORD": unquote(url.password or ""),
    }


def fill(postgres_url: str, auctions: Iterable[History]) -> tuple[int, int]:
    """Saves the events of these auctions: how many they were, and the number of the last one that is counted."""
    source, saved, last = iter(auctions), 0, 0
    with SourcedAuctions(environment(postgres_url)) as application:
        while some := list(islice(source, SAVED_AT_ONCE)):
            recordings = application.save(*(logged for history in some for logged in _logged(history)))
            saved += len(recordings)
            last = max(
                [
                    last,
                    *(each.notification.id for each in recordings if each.notification.topic in SourcedDelivery.topics),
                ]
            )
    return saved, last


def _logged(history: History) -> Sequence[Logged]:
    auction_id = UUID(history.auction_id)
    return [
        Logged(auction_id, version, event) for version, event in zip(count(1), (*history.auction, *history.engagements))
    ]


@singledispatch
def additions(event: events.Event) -> list[Addition]:
    """What the event adds to the report; TypeError for a type that the projection does not take."""
    raise TypeError(f"{type(event).__name__} is not counted")


@additions.register
def _(event: events.BidRequested) -> list[Addition]:
    if event.test or event.robot:
        return []
    keys = [_key(event.at, event.at, imp.inventory, currency=event.currency) for imp in event.imps]
    return [Addition(("requests",), keys[0], (1,)), *(Addition(("imps",), key, (1,)) for key in keys)]


@additions.register
def _(event: events.BidPlaced) -> list[Addition]:
    size = f"{event.width}x{event.height}" if event.width and event.height else ""
    return [] if event.test else [Addition(("bids",), _key_of_bid(event, size), (1,))]


@additions.register
def _(event: events.AuctionAwarded) -> list[Addition]:
    return [] if event.test else [Addition(("wins",), _key_of_bid(event, event.size), (1,))]


@additions.register
def _(event: events.ImpressionRecorded) -> list[Addition]:
    if event.test or event.verdict == "test":
        return []
    key = _key(
        event.at,
        event.awarded_at,
        event.inventory,
        bidder_id=event.bidder_id,
        deal_id=event.deal_id or "",
        campaign=(event.advertiser_id or "", event.campaign_id or "", event.ad_id or ""),
        size=event.size,
        currency=event.currency,
    )
    if event.verdict != "valid":
        return [Addition(("impressions_gross",), key, (1,))]
    is_charged = event.charged and event.charged_on == "impression"
    money = (event.clearing_price_micros, event.revenue_micros, event.fee_micros) if is_charged else (0, 0, 0)
    return [Addition(ENGAGED, key, (1, 1, *money))]


def _key_of_bid(event: events.BidPlaced | events.AuctionAwarded, size: str) -> tuple[Any, ...]:
    return _key(
        event.at,
        event.at,
        event.inventory,
        bidder_id=event.bidder_id,
        deal_id=event.deal_id or "",
        campaign=_campaign(event.direct),
        size=size,
        currency=event.currency,
    )


def _campaign(direct: DirectDemand | None) -> tuple[str, str, str]:
    return ("", "", "") if direct is None else (direct.advertiser_id, direct.campaign_id, direct.ad_id)


def _key(
    at: datetime,
    auction_at: datetime,
    inventory: Inventory,
    *,
    bidder_id: str = "",
    deal_id: str = "",
    campaign: tuple[str, str, str] = ("", "", ""),
    size: str = "",
    currency: str,
) -> tuple[Any, ...]:
    return (
        _quarter(at),
        _quarter(auction_at),
        inventory.publisher_id,
        inventory.placement_id,
        inventory.site,
        inventory.country,
        inventory.device_type,
        bidder_id,
        deal_id,
        *campaign,
        size,
        currency,
    )


def _quarter(at: datetime) -> datetime:
    return at.replace(minute=at.minute - at.minute % QUARTER_MINUTES, second=0, microsecond=0)


def _names(columns: Sequence[str]) -> Composed:
    return SQL(", ").join(map(Identifier, columns))


def _type_of(column: str) -> str:
    match column:
        case "quarter" | "auction_quarter":
            return "timestamptz"
        case "device_type":
            return "smallint"
    return "text"
