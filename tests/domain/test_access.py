"""Whose an entity is, and what of the catalogue a tenant meets."""

from __future__ import annotations

import msgspec
import pytest

from domain.access import Caller, EntitiesSeenBy, Tenant, owner_of
from domain.catalogue import Ad, Advertiser, Bidder, Campaign, Placement, Publisher, Terms
from domain.entity import Entity, EntityKind


def entity(kind: EntityKind, entity_id: str, terms: Terms) -> Entity:
    return Entity(kind, entity_id, 1, "active", msgspec.Raw(msgspec.json.encode(terms)))


def ad(entity_id: str, campaign_id: str) -> Entity:
    terms = Ad(campaign_id=campaign_id, name="A", width=1, height=1, landing_url="https://shop.example/")
    return entity("ad", entity_id, terms)


ENTITIES = {
    each.id: each
    for each in (
        entity("publisher", "p-1", Publisher(name="P", domain="p.example", share_bps=1)),
        entity("publisher", "p-2", Publisher(name="P", domain="p.example", share_bps=1)),
        entity("placement", "top-1", Placement(publisher_id="p-1", name="T", sizes=((1, 1),))),
        entity("placement", "top-2", Placement(publisher_id="p-2", name="T", sizes=((1, 1),))),
        entity("advertiser", "a-1", Advertiser(name="A", domain="a.example")),
        entity("advertiser", "a-2", Advertiser(name="A", domain="a.example")),
        entity("campaign", "c-1", Campaign(advertiser_id="a-1", name="C", budget_nanos=1)),
        entity("campaign", "c-2", Campaign(advertiser_id="a-2", name="C", budget_nanos=1)),
        ad("ad-1", "c-1"),
        ad("ad-2", "c-2"),
        ad("lost", "nowhere"),
        entity("bidder", "b-1", Bidder(name="B", endpoint="https://b.example/")),
    )
}


@pytest.mark.parametrize(
    ("tenant", "seen"),
    [
        (Tenant("publisher", "p-1"), {"p-1", "top-1"}),
        (Tenant("publisher", "p-2"), {"p-2", "top-2"}),
        (Tenant("advertiser", "a-1"), {"a-1", "c-1", "ad-1", "top-1", "top-2"}),
        (Tenant("advertiser", "a-2"), {"a-2", "c-2", "ad-2", "top-1", "top-2"}),
        (Tenant("advertiser", "p-1"), {"top-1", "top-2"}),
        (Tenant("feed_client", "p-1"), set()),
    ],
)
def test_what_a_tenant_meets(tenant: Tenant, seen: set[str]) -> None:
    """Its own by every chain that leads to it; looked up, counted and listed alike. An id of another kind is no key."""
    entities = EntitiesSeenBy(ENTITIES, tenant)
    assert set(entities) == seen
    assert len(entities) == len(seen)
    assert {each for each in ENTITIES if each in entities} == seen
    assert {each for each in (*ENTITIES, "never") if entities.get(each) is not None} == seen


def test_whose_it_is() -> None:
    """A bidder is the operator's, and so is an ad whose campaign nobody knows."""
    assert owner_of(ENTITIES["ad-2"], ENTITIES) == Tenant("advertiser", "a-2")
    assert owner_of(ENTITIES["b-1"], ENTITIES) is None
    assert owner_of(ENTITIES["lost"], ENTITIES) is None


def test_an_admin_acts_for_nobody() -> None:
    """Its key sees everything, whatever stands beside the role."""
    for subject_id in (None, "p-1"):
        assert Caller(key_id="k", name="K", role="admin", subject_id=subject_id).tenant is None
    assert Caller(key_id="k", name="K", role="publisher", subject_id="p-1").tenant == Tenant("publisher", "p-1")
