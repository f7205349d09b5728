"""What commands make of the catalogue: given entities, when a command comes, then an event or why not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from domain import catalogue, events
from domain.catalogue import Bidder, CurrencyRate, Deal, Placement, Publisher, Status, Terms
from domain.catalogue_changes import Decision, Entities, Stamp, change, move, register, set_rate
from domain.entity import Entity, EntityKind, evolve
from domain.errors import Conflict, NotFound, UnknownReference, VersionMismatch
from domain.events import CatalogueEvent
from domain.terms.kinds import all_forms

STAMP = Stamp("command-1", "event-1", datetime(2026, 1, 2, tzinfo=UTC))
FORMS = all_forms(allow_private=False)
PUBLISHER = Publisher(name="Daily", domain="daily.example", share_bps=8_500)
PLACEMENT = Placement(publisher_id="pub", name="Top", sizes=((300, 250),))
BIDDER = Bidder(name="Alfa", endpoint="https://alfa.example/bid")
DEAL = Deal(bidder_ids=("alfa",))
RATE = CurrencyRate(base="EUR", quote="USD", rate="1.08")


def entity(kind: EntityKind, entity_id: str, terms: Terms, *, version: int = 1, status: Status = "active") -> Entity:
    return Entity(kind, entity_id, version, status, msgspec.Raw(msgspec.json.encode(terms)))


def standing(*entities: Entity) -> Entities:
    return {each.id: each for each in entities}


MARKET = standing(
    entity("publisher", "pub", PUBLISHER, version=3),
    entity("placement", "top", PLACEMENT),
    entity("bidder", "alfa", BIDDER, version=2),
    entity("deal", "deal-1", DEAL),
    entity("currency_rate", "EUR-USD", RATE, version=4),
)


def registration(kind: EntityKind, body: dict[str, Any], entities: Entities = MARKET) -> CatalogueEvent:
    form = FORMS[kind]
    return register(form, form.registration(msgspec.json.encode(body)), entities, STAMP)


def patched(
    kind: EntityKind, entity_id: str, body: dict[str, Any], entities: Entities = MARKET, *versions: int
) -> Decision:
    expected = frozenset(versions) if versions else None
    patch = msgspec.json.encode(body)
    return change(FORMS[kind], entity_id, patch, entities=entities, stamp=STAMP, expected=expected)


def moved(entity_id: str, status: Status, entities: Entities, *versions: int) -> Decision:
    expected = frozenset(versions) if versions else None
    return move("bidder", entity_id, status, entities=entities, stamp=STAMP, expected=expected)


def test_a_registration_is_known_by_its_command() -> None:
    """The entity has the command's id, unless its owner chose one; the event says what caused it."""
    event = registration("publisher", {"name": "New", "domain": "new.example", "share_bps": 1})
    assert isinstance(event, events.PublisherRegistered)
    assert (event.aggregate_id, event.version, event.causation_id, event.id) == ("command-1", 1, "command-1", "event-1")
    deal = registration("deal", {"id": "chosen", "bidder_ids": ["alfa"], "floor_cpm": "1.25"})
    assert (deal.aggregate_id, deal.correlation_id, deal.version) == ("chosen", "chosen", 1)


@pytest.mark.parametrize("taken", ["deal-1", "alfa", "top"])
def test_an_id_is_given_once(taken: str) -> None:
    """Whatever kind has it: ids are the log's keys."""
    with pytest.raises(Conflict, match="is taken by a"):
        registration("deal", {"id": taken, "bidder_ids": ["alfa"]})


@pytest.mark.parametrize(
    ("entity_id", "why"),
    [("nobody", "there is no bidder"), ("top", "there is no bidder"), ("gone", "is archived")],
    ids=["unknown", "of another kind", "archived"],
)
def test_an_entity_that_is_named_must_be_there(entity_id: str, why: str) -> None:
    """The fault names the place in the list."""
    entities = {**MARKET, **standing(entity("bidder", "gone", BIDDER, status="archived"))}
    with pytest.raises(UnknownReference) as refused:
        registration("deal", {"bidder_ids": ["alfa", entity_id]}, entities)
    [fault] = refused.value.faults
    assert fault.path == "bidder_ids[1]"
    assert why in fault.message


def test_who_was_named_before_is_not_asked_for_again() -> None:
    """A deal can be changed after one of its bidders was archived, but not name another one that is."""
    gone, other = (entity("bidder", each, BIDDER, status="archived") for each in ("alfa", "other"))
    entities = {**MARKET, **standing(gone, other)}
    event = patched("deal", "deal-1", {"floor_cpm": "2.00"}, entities)
    assert isinstance(event, events.DealChanged)
    assert (event.terms.floor_micros, event.version) == (2_000_000, 2)
    with pytest.raises(UnknownReference):
        patched("deal", "deal-1", {"bidder_ids": ["alfa", "other"]}, entities)


def test_a_change_counts_as_the_next_version() -> None:
    """What the patch does not mention stays."""
    event = patched("publisher", "pub", {"share_bps": 9_000}, MARKET, 3)
    assert isinstance(event, events.PublisherChanged)
    assert (event.version, event.terms) == (4, msgspec.structs.replace(PUBLISHER, share_bps=9_000))
    changed = evolve(MARKET["pub"], event)
    assert changed is not None
    assert changed.version == 4


DOES_NOTHING: dict[str, Callable[[], Decision]] = {
    "the terms it has": lambda: patched("publisher", "pub", {"name": "Daily"}),
    "an empty patch": lambda: patched("bidder", "alfa", {}),
    "resuming what is active": lambda: moved("alfa", "active", MARKET),
    "the rate that stands": lambda: set_rate(RATE, MARKET, STAMP),
}


@pytest.mark.parametrize("command", DOES_NOTHING.values(), ids=DOES_NOTHING)
def test_what_is_so_already_needs_no_event(command: Callable[[], Decision]) -> None:
    """The entity itself is the answer."""
    assert command() in MARKET.values()


@pytest.mark.parametrize(
    ("before", "status", "event"),
    [
        ("active", "paused", events.EntityPaused),
        ("paused", "active", events.EntityResumed),
        ("active", "archived", events.EntityArchived),
        ("paused", "archived", events.EntityArchived),
        ("archived", "archived", None),
        ("archived", "active", Conflict),
        ("archived", "paused", Conflict),
    ],
)
def test_moves(before: Status, status: Status, event: type[Any] | None) -> None:
    """Every status and every move: an event, nothing to do, or a refusal."""
    entities = standing(entity("bidder", "alfa", BIDDER, version=5, status=before))
    if event is Conflict:
        with pytest.raises(Conflict, match="archived"):
            moved("alfa", status, entities)
        return
    decision = moved("alfa", status, entities, 5)
    assert isinstance(decision, event or Entity)
    assert decision.version == (6 if event else 5)
    after = evolve(entities["alfa"], decision) if isinstance(decision, CatalogueEvent) else decision
    assert after is not None
    assert after.status == status


def test_another_version_than_expected() -> None:
    """It is told which one stands, before anything else is looked at."""
    with pytest.raises(VersionMismatch, match="version 2 now"):
        patched("bidder", "alfa", {"unknown": 1}, MARKET, 1, 3)
    with pytest.raises(VersionMismatch):
        moved("alfa", "active", MARKET, 1)


def test_what_is_archived_does_not_change() -> None:
    """Not even to the terms that it has."""
    entities = standing(entity("bidder", "alfa", BIDDER, status="archived"))
    with pytest.raises(Conflict):
        patched("bidder", "alfa", {}, entities)


@pytest.mark.parametrize("entity_id", ["nobody", "pub"])
def test_who_is_not_there(entity_id: str) -> None:
    """Nor under the id of another kind."""
    with pytest.raises(NotFound):
        patched("bidder", entity_id, {})
    with pytest.raises(NotFound):
        moved(entity_id, "paused", MARKET)


def test_rates() -> None:
    """The first statement of a pair registers it, each other one is its next version; its id may be taken."""
    first = set_rate(RATE, {}, STAMP)
    assert isinstance(first, events.CurrencyRateSet)
    assert (first.aggregate_id, first.version, first.rate) == ("EUR-USD", 1, "1.08")
    next_one = set_rate(msgspec.structs.replace(RATE, rate="1.1"), MARKET, STAMP)
    assert isinstance(next_one, events.CurrencyRateSet)
    assert (next_one.version, next_one.rate) == (5, "1.1")
    squatted = standing(entity("deal", "EUR-USD", DEAL))
    with pytest.raises(Conflict, match="taken by a deal"):
        set_rate(RATE, squatted, STAMP)
    assert evolve(squatted["EUR-USD"], msgspec.structs.replace(first, version=2)) is squatted["EUR-USD"]


def test_every_kind_has_a_form() -> None:
    """What a form makes of its example stands in the catalogue under the kind's own type."""
    terms: dict[EntityKind, type[Terms]] = {
        "publisher": catalogue.Publisher,
        "placement": catalogue.Placement,
        "bidder": catalogue.Bidder,
        "deal": catalogue.Deal,
        "currency_rate": catalogue.CurrencyRate,
        "advertiser": catalogue.Advertiser,
        "campaign": catalogue.Campaign,
        "ad": catalogue.Ad,
        "access_key": catalogue.AccessKey,
        "feed_client": catalogue.FeedClient,
    }
    assert {kind: form.terms for kind, form in FORMS.items()} == terms
