"""The catalogue that a scenario states, as the entities that auctions find in Redis.

`publishers`, `placements` and `deals` by id, their terms as in `POST /v1/...`, with a `status` where they are not
active; `rates` by pair: `{"EUR/USD": "1.25"}`. What a scenario does not care about has a default. A bidder is named
by its name, in its own list and in a deal's `bidder_ids`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from domain.entity import Entity, EntityKind
from domain.terms.kinds import all_forms

_FORMS = all_forms(allow_private=True)


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
    """The entity with these terms, checked as the API checks them."""
    terms = dict(stated)
    status = terms.pop("status", "active")
    registration = _FORMS[kind].registration(msgspec.json.encode(terms))
    return Entity(kind, entity_id, 1, status, msgspec.Raw(msgspec.json.encode(registration.terms)))
