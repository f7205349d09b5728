"""The catalogue that a scenario states, as the entities that auctions find in Redis.

`publishers`, `placements` and `deals` by id, their terms as in `POST /v1/...`, with a `status` where they are not
active; `rates` by pair: `{"EUR/USD": "1.25"}`. What a scenario does not care about has a default. A bidder is named
by its name, in its own list and in a deal's `bidder_ids`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from domain.catalogue import Bidder, CurrencyRate, Deal, Placement, Publisher, Status, Terms
from domain.entity import Entity, EntityKind
from domain.money import micros_from_text

_TERMS: dict[EntityKind, type[Terms]] = {
    "publisher": Publisher,
    "placement": Placement,
    "bidder": Bidder,
    "deal": Deal,
    "currency_rate": CurrencyRate,
}


class ScenarioCatalogue(msgspec.Struct, forbid_unknown_fields=True):
    publishers: dict[str, dict[str, Any]] = {}
    placements: dict[str, dict[str, Any]] = {}
    deals: dict[str, dict[str, Any]] = {}
    rates: dict[str, str] = {}


def entities_of(catalogue: ScenarioCatalogue, bidder_ids: Mapping[str, str]) -> Iterator[Entity]:
    """Everything but the bidders themselves; `bidder_ids` is by name."""
    for publisher_id, terms in catalogue.publishers.items():
        default = {"name": publisher_id, "domain": "publisher.example", "share_bps": 8_000}
        yield entity_of("publisher", publisher_id, {**default, **terms})
    for placement_id, terms in catalogue.placements.items():
        yield entity_of("placement", placement_id, {"name": placement_id, "sizes": [[300, 250]], **terms})
    for deal_id, terms in catalogue.deals.items():
        named = [bidder_ids[name] for name in terms["bidder_ids"]]
        yield entity_of("deal", deal_id, {**terms, "bidder_ids": named})
    for pair, rate in catalogue.rates.items():
        base, quote = pair.split("/")
        yield entity_of("currency_rate", pair, {"base": base, "quote": quote, "rate": rate})


def entity_of(kind: EntityKind, entity_id: str, stated: Mapping[str, Any]) -> Entity:
    """The entity with these terms; a field that the kind does not have is a mistake in the scenario."""
    body = dict(stated)
    status: Status = body.pop("status", "active")
    body["floor_rules"] = [_in_micros(rule) for rule in body.get("floor_rules", [])]
    given = _in_micros({name: value for name, value in body.items() if value != []})
    assert given.keys() <= set(_TERMS[kind].__struct_fields__), (kind, entity_id, sorted(given))
    terms = msgspec.convert(given, _TERMS[kind])
    return Entity(kind, entity_id, 1, status, msgspec.Raw(msgspec.json.encode(terms)))


def _in_micros(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Money as the catalogue has it: `floor_cpm` is decimal text outside and micros inside."""
    terms = dict(stated)
    if "floor_cpm" in terms:
        terms["floor_micros"] = micros_from_text(terms.pop("floor_cpm"))
    return terms
