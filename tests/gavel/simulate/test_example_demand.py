"""The direct demand of the simulated market is what the catalogue takes."""

from __future__ import annotations

from typing import Any

import msgspec

from domain.entity import EntityKind
from domain.terms.form import Form
from domain.terms.kinds import all_forms
from gavel.simulate.catalogue_client import CatalogueClient, Entity
from gavel.simulate.example_demand import ADVERTISERS, store_demand

KINDS: dict[str, EntityKind] = {"advertisers": "advertiser", "campaigns": "campaign", "ads": "ad"}


class Registry(CatalogueClient):
    """Keeps what is registered, if its form takes it."""

    def __init__(self) -> None:
        self.kept: dict[str, list[Entity]] = {kind: [] for kind in KINDS}

    async def active(self, kind: str) -> Any:
        for entity in self.kept[kind]:
            yield entity

    async def register(self, kind: str, terms: Entity) -> Entity:
        form: Form[Any, Any] = all_forms(allow_private=False)[KINDS[kind]]
        form.registration(msgspec.json.encode(terms))
        self.kept[kind].append(terms | {"id": f"{kind}-{len(self.kept[kind])}"})
        return self.kept[kind][-1]


async def test_it_is_registered_once() -> None:
    """Two advertisers with three campaigns, one of them for clicks, and their ads; a second start adds nothing."""
    registry = Registry()
    for _ in range(2):
        await store_demand(registry)
        assert {kind: len(kept) for kind, kept in registry.kept.items()} == {"advertisers": 2, "campaigns": 3, "ads": 8}
    campaigns = registry.kept["campaigns"]
    assert sorted("bid_cpc" in each for each in campaigns) == [False, False, True]
    assert {each["advertiser_id"] for each in campaigns} == {each["id"] for each in registry.kept["advertisers"]}
    assert {ad["campaign_id"] for ad in registry.kept["ads"]} == {each["id"] for each in campaigns}
    assert len({ad["name"] for ad in registry.kept["ads"]}) == 8
    assert len(ADVERTISERS) == 2
