"""Entities of the catalogue as their events make them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import reduce
from itertools import permutations
from typing import Any

import msgspec

from domain.catalogue import Bidder, Publisher
from domain.entity import Entity, evolve
from domain.events import (
    BidderChanged,
    BidderRegistered,
    CatalogueEvent,
    CurrencyRateSet,
    EntityArchived,
    EntityPaused,
    EntityResumed,
    PublisherChanged,
)

AT = datetime(2026, 1, 2, tzinfo=UTC)
OLD = Bidder(name="old", endpoint="http://old.example/")
NEW = Bidder(name="new", endpoint="http://new.example/")


def head(version: int, aggregate_id: str = "b1") -> dict[str, Any]:
    return {
        "id": f"e{version}",
        "at": AT,
        "correlation_id": aggregate_id,
        "causation_id": "c",
        "aggregate_id": aggregate_id,
        "version": version,
    }


def folded(events: Iterable[CatalogueEvent]) -> Entity | None:
    return reduce(evolve, events, None)


def registered() -> BidderRegistered:
    return BidderRegistered(terms=OLD, **head(1))


def changed(version: int, terms: Bidder = NEW) -> BidderChanged:
    return BidderChanged(terms=terms, **head(version))


def test_a_life() -> None:
    """Registered, changed, paused, resumed, archived: each event raises the version by one."""
    story = [
        registered(),
        changed(2),
        EntityPaused(**head(3)),
        EntityResumed(**head(4)),
        EntityArchived(**head(5)),
    ]
    states = [folded(story[:count]) for count in range(1, 6)]
    assert [(each.version, each.status) for each in states if each] == [
        (1, "active"), (2, "active"), (3, "paused"), (4, "active"), (5, "archived"),
    ]  # fmt: skip
    last = states[-1]
    assert last is not None
    assert (last.kind, last.id) == ("bidder", "b1")
    assert msgspec.json.decode(last.terms, type=Bidder) == NEW


def test_as_json() -> None:
    """What the cache in Redis holds, and what comes back out of it."""
    entity = folded([registered()])
    written = msgspec.json.encode(entity)
    assert msgspec.json.decode(written) == {
        "kind": "bidder",
        "id": "b1",
        "version": 1,
        "status": "active",
        "terms": {"name": "old", "endpoint": "http://old.example/"},
        "active_since": 1767312000.0,
        "paused_at": 0,
    }
    assert msgspec.json.decode(written, type=Entity) == entity


def test_every_interleaving_of_racing_commands_has_one_winner() -> None:
    """Three commands that all saw version 1: in whatever order the log has them, the first one counts alone."""
    racing = [changed(2, NEW), changed(2, OLD), EntityPaused(**head(2))]
    for order in permutations(racing):
        assert folded([registered(), *order]) == folded([registered(), order[0]])


def test_what_has_no_effect() -> None:
    """Old versions, gaps, a second registration, and events of another kind leave the very same state."""
    entity = folded([registered()])
    publisher = PublisherChanged(terms=Publisher(name="p", domain="p.example", share_bps=1), **head(2))
    for event in (registered(), changed(1), changed(3), BidderRegistered(terms=NEW, **head(2)), publisher):
        assert evolve(entity, event) is entity


def test_nothing_comes_from_nothing() -> None:
    """Only a registration makes an entity."""
    for event in (changed(1), EntityPaused(**head(1)), BidderRegistered(terms=OLD, **head(2))):
        assert evolve(None, event) is None


def test_a_currency_rate() -> None:
    """A rate is an entity too: each setting is its next version."""
    rates = [
        CurrencyRateSet(base="EUR", quote="USD", rate=rate, **head(v, "EUR:USD"))
        for v, rate in ((1, "1.1"), (2, "1.2"))
    ]
    entity = folded(rates)
    assert entity is not None
    assert (entity.kind, entity.version) == ("currency_rate", 2)
    assert msgspec.json.decode(entity.terms) == {"base": "EUR", "quote": "USD", "rate": "1.2"}
