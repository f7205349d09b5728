"""What time, money and other entities forbid: given a catalogue, when an event is to be logged, then it is or not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from domain import events, legality
from domain.catalogue import Ad, Advertiser, Campaign, Placement, Publisher, Status, Terms
from domain.entity import Entity, EntityKind
from domain.errors import IllegalMove, InvalidInput, LimitReached, Unavailable
from domain.events import CatalogueEvent
from domain.holdings import Holdings

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CAMPAIGN = Campaign(advertiser_id="adv", name="Winter", bid_micros=1_000_000, budget_nanos=10 * 10**9)
ENDED = msgspec.structs.replace(CAMPAIGN, ends_at="2026-11-21T11:59:59Z")
AD = Ad(campaign_id="camp", name="Coats", width=300, height=250, landing_url="https://shop.example/", html="<b>x</b>")


def entity(kind: EntityKind, entity_id: str, terms: Terms, status: Status = "active") -> Entity:
    return Entity(kind, entity_id, 1, status, msgspec.Raw(msgspec.json.encode(terms)))


def shop(status: Status = "active") -> Entity:
    return entity("advertiser", "adv", Advertiser(name="Shop", domain="shop.example"), status)


def happens(
    kind: type[CatalogueEvent],
    entity_id: str,
    *standing: Entity,
    spent: int | None = 0,
    by: str | None = None,
    **content: Any,
) -> None:
    """Raises what speaks against it."""
    holdings = Holdings()
    for each in standing:
        holdings.put(each)
    about: dict[str, Any] = {"id": "e", "at": NOW, "correlation_id": entity_id, "causation_id": "c", "version": 2}
    event = kind(**about, aggregate_id=entity_id, **content)
    legality.check(event, legality.World({each.id: each for each in standing}, holdings, spent, by))


def refused(error: type[InvalidInput], *arguments: Any, **content: Any) -> Mapping[str, str]:
    """Path to message."""
    with pytest.raises(error) as raised:
        happens(*arguments, **content)
    assert type(raised.value) is error
    return {fault.path: fault.message for fault in raised.value.faults}


def changed(campaign: Campaign, before: Campaign = CAMPAIGN, *, spent: int | None = 0) -> None:
    happens(events.CampaignChanged, "camp", shop(), entity("campaign", "camp", before), terms=campaign, spent=spent)


@pytest.mark.parametrize(
    ("flight", "paths"),
    [
        ({"starts_at": "2026-11-20T12:00:00Z"}, set()),
        ({"starts_at": "2026-11-20T11:59:59Z"}, {"starts_at"}),
        ({"ends_at": "2026-11-21T12:00:01Z"}, set()),
        ({"ends_at": "2026-11-21T12:00:00Z"}, {"ends_at"}),
        ({"starts_at": "2020-01-01T00:00:00Z", "ends_at": "2020-02-01T00:00:00Z"}, {"starts_at", "ends_at"}),
    ],
)
def test_a_flight_in_the_past(flight: dict[str, str], paths: set[str]) -> None:
    """A campaign may start a day late, at somebody's midnight; it may not have ended."""
    terms = msgspec.structs.replace(CAMPAIGN, **flight)
    if paths:
        assert refused(InvalidInput, events.CampaignRegistered, "new", shop(), terms=terms).keys() == paths
    else:
        happens(events.CampaignRegistered, "new", shop(), terms=terms)


def test_a_flight_that_has_ended_may_be_prolonged_and_renamed() -> None:
    """What stood before is not held against it, but nothing new may lie in the past."""
    changed(msgspec.structs.replace(ENDED, name="Winter, over"), ENDED)
    changed(msgspec.structs.replace(ENDED, ends_at="2026-12-01T00:00:00Z"), ENDED)
    with pytest.raises(InvalidInput):
        changed(msgspec.structs.replace(ENDED, ends_at="2026-11-21T11:59:58Z"), ENDED)


@pytest.mark.parametrize(
    ("budget", "spent", "error"),
    [(5 * 10**9, 5 * 10**9, None), (5 * 10**9 - 1, 5 * 10**9, IllegalMove), (20 * 10**9, 15 * 10**9, None),
     (11 * 10**9, None, None), (9 * 10**9, None, Unavailable)],
    ids=["to what is spent", "below what is spent", "up", "up, while nobody knows", "down, while nobody knows"],
)  # fmt: skip
def test_a_budget_does_not_fall_below_what_is_spent(
    budget: int, spent: int | None, error: type[Exception] | None
) -> None:
    """It may be raised at any time, and lowered where it is known what is spent."""
    terms = msgspec.structs.replace(CAMPAIGN, budget_nanos=budget)
    if error is None:
        changed(terms, spent=spent)
        return
    with pytest.raises(error, match="5.00 USD" if error is IllegalMove else "not known"):
        changed(terms, spent=spent)


def test_what_stands_for_good() -> None:
    """A campaign keeps its advertiser and currency, an ad its campaign, a placement its publisher."""
    for change in ({"advertiser_id": "other"}, {"currency": "EUR"}):
        with pytest.raises(InvalidInput, match=next(iter(change))):
            changed(msgspec.structs.replace(CAMPAIGN, **change))
    other = msgspec.structs.replace(AD, campaign_id="other")
    assert refused(InvalidInput, events.AdChanged, "ad", entity("ad", "ad", AD), terms=other).keys() == {"campaign_id"}
    placement = Placement(publisher_id="pub", name="Top", sizes=())
    moved = msgspec.structs.replace(placement, publisher_id="other")
    top = entity("placement", "top", placement)
    assert refused(InvalidInput, events.PlacementChanged, "top", top, terms=moved).keys() == {"publisher_id"}
    happens(events.PlacementChanged, "top", top, terms=msgspec.structs.replace(placement, name="First"))


def test_who_is_not_resumed() -> None:
    """A campaign whose flight is over or whose advertiser is archived, an ad of an archived campaign, and so on."""
    paused = entity("campaign", "camp", ENDED, "paused")
    assert (
        "ended at 2026-11-21T11:59:59Z" in refused(IllegalMove, events.EntityResumed, "camp", shop(), paused)["ends_at"]
    )
    orphan = entity("campaign", "camp", CAMPAIGN, "paused")
    assert "'adv' is archived" in refused(IllegalMove, events.EntityResumed, "camp", shop("archived"), orphan)["status"]
    gone = entity("campaign", "camp", CAMPAIGN, "archived")
    ad = entity("ad", "ad", AD, "paused")
    assert "'camp' is archived" in refused(IllegalMove, events.EntityResumed, "ad", gone, ad)["status"]
    happens(events.EntityResumed, "camp", shop(), orphan)
    happens(events.EntityResumed, "adv", shop("paused"))


def test_an_ad_for_a_flight_that_is_over() -> None:
    """It would never be shown."""
    assert refused(
        IllegalMove, events.AdRegistered, "ad", shop(), entity("campaign", "camp", ENDED), terms=AD
    ).keys() == {"campaign_id"}
    happens(events.AdRegistered, "ad", shop(), entity("campaign", "camp", CAMPAIGN), terms=AD)


@pytest.mark.parametrize(
    ("kind", "changed", "terms", "path"),
    [
        (events.AdRegistered, "new", AD, "campaign_id"),
        (events.AdChanged, "ad", AD, "campaign_id"),
        (events.CampaignChanged, "camp", CAMPAIGN, "advertiser_id"),
    ],
)
def test_nothing_is_prepared_for_an_archived_advertiser(
    kind: type[CatalogueEvent], changed: str, terms: Terms, path: str
) -> None:
    """No ad and no change of one, and no change of a campaign, whose key ever asks; a paused one may come back."""
    below = (entity("campaign", "camp", CAMPAIGN, "paused"), entity("ad", "ad", AD))
    told = refused(IllegalMove, kind, changed, shop("archived"), *below, terms=terms)
    assert told == {path: "the advertiser 'adv' is archived: nothing of it can run any more"}
    happens(kind, changed, shop("paused"), *below, terms=terms)


def test_an_ad_of_an_archived_campaign_does_not_change() -> None:
    """It will never be shown again."""
    gone = entity("campaign", "camp", CAMPAIGN, "archived")
    told = refused(IllegalMove, events.AdChanged, "ad", shop(), gone, entity("ad", "ad", AD), terms=AD)
    assert told == {"campaign_id": "the campaign 'camp' is archived: nothing of it can run any more"}


def test_an_advertiser_does_not_leave_its_live_campaigns() -> None:
    """It is told which they are and what to do; those that are paused, over, archived or others' do not keep it."""
    rest = (
        entity("campaign", "resting", CAMPAIGN, "paused"),
        entity("campaign", "over", ENDED),
        entity("campaign", "gone", CAMPAIGN, "archived"),
        entity("campaign", "others", msgspec.structs.replace(CAMPAIGN, advertiser_id="other")),
    )
    live = [entity("campaign", f"live-{number}", CAMPAIGN) for number in range(7)]
    [message] = refused(IllegalMove, events.EntityArchived, "adv", shop(), *rest, *live).values()
    assert "(7: 'live-0', " in message
    assert message.endswith("and others) would go on without it: pause or archive them first")
    happens(events.EntityArchived, "adv", shop(), *rest)
    happens(events.EntityArchived, "live-0", shop(), *live)


def test_there_is_an_end_to_what_may_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """An advertiser's campaigns, a campaign's ads, a publisher's placements, and all together; archiving makes room."""
    monkeypatch.setattr(legality, "_HELD_MAX", {"campaign": 2, "ad": 1, "placement": 1})
    first, second = (entity("campaign", each, CAMPAIGN) for each in ("camp", "two"))
    with pytest.raises(LimitReached, match="advertiser 'adv' has 2 campaigns, and may have no more"):
        happens(events.CampaignRegistered, "new", shop(), first, second, terms=CAMPAIGN)
    happens(
        events.CampaignRegistered, "new", shop(), first, entity("campaign", "two", CAMPAIGN, "archived"), terms=CAMPAIGN
    )
    with pytest.raises(LimitReached, match="campaign 'camp' has 1 ads"):
        happens(events.AdRegistered, "new", first, entity("ad", "ad", AD), terms=AD)
    top = Placement(publisher_id="pub", name="Top", sizes=())
    publisher = entity("publisher", "pub", Publisher(name="News", domain="news.example", share_bps=1))
    with pytest.raises(LimitReached, match="publisher 'pub' has 1 placements"):
        happens(events.PlacementRegistered, "new", publisher, entity("placement", "top", top), terms=top)
    monkeypatch.setattr(legality, "CATALOGUE_ENTITIES_MAX", 3)
    with pytest.raises(LimitReached, match="holds 3 entities of 3"):
        happens(
            events.AdvertiserRegistered, "new", shop(), first, second, terms=Advertiser(name="x", domain="x.example")
        )
    happens(events.CampaignChanged, "camp", shop(), first, second, terms=CAMPAIGN)
    monkeypatch.setattr(legality, "CATALOGUE_TERMS_MAX_BYTES", 10)
    happens(events.CampaignChanged, "camp", shop(), first, second, terms=CAMPAIGN)
    with pytest.raises(LimitReached, match="no terms can become longer"):
        changed(msgspec.structs.replace(CAMPAIGN, name="Winter coats"))
    with pytest.raises(LimitReached, match="bytes of terms of 10"):
        happens(events.AdvertiserRegistered, "new", shop(), terms=Advertiser(name="x", domain="x.example"))


def test_a_tenant_fills_its_own_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it archives counts as well; for it the operator may go on, and so may everybody else."""
    camp, ad = entity("campaign", "camp", CAMPAIGN), entity("ad", "ad", AD, "archived")
    # The log's partitions bring an ad before its campaign, or behind it.
    for standing in ((shop(), camp, ad), (shop(), msgspec.structs.replace(ad, status="active"), camp)):
        monkeypatch.setattr(legality, "TENANT_ENTITIES_MAX", 2)
        with pytest.raises(LimitReached, match="'adv' has registered 2 entities of 2, archived ones included"):
            happens(events.CampaignRegistered, "new", *standing, terms=CAMPAIGN, by="adv")
        happens(events.CampaignChanged, "camp", *standing, terms=CAMPAIGN, by="adv")
        happens(events.CampaignRegistered, "new", *standing, terms=CAMPAIGN)
        happens(
            events.CampaignRegistered, "new", entity("advertiser", "other", Advertiser(name="x", domain="x.example")),
            *standing, terms=msgspec.structs.replace(CAMPAIGN, advertiser_id="other"), by="other",
        )  # fmt: skip
        monkeypatch.setattr(legality, "TENANT_ENTITIES_MAX", 3)
        happens(events.CampaignRegistered, "new", *standing, terms=CAMPAIGN, by="adv")
        monkeypatch.setattr(legality, "TENANT_TERMS_MAX_BYTES", len(camp.terms) + len(ad.terms))
        longer = msgspec.structs.replace(CAMPAIGN, name="Winter coats")
        with pytest.raises(LimitReached, match="only the operator"):
            happens(events.CampaignChanged, "camp", *standing, terms=longer, by="adv")
        happens(events.CampaignChanged, "camp", *standing, terms=longer)
        monkeypatch.undo()


def test_the_last_part_of_the_catalogue_is_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many tenants together cannot keep the operator from registering a publisher or a key."""
    monkeypatch.setattr(legality, "CATALOGUE_ENTITIES_MAX", 2)
    with pytest.raises(LimitReached, match=r"holds 1 entities of 1.*but by the operator"):
        happens(events.CampaignRegistered, "new", shop(), terms=CAMPAIGN, by="adv")
    happens(events.CampaignRegistered, "new", shop(), terms=CAMPAIGN)


def test_holdings_follow_every_change() -> None:
    """An entity counts once, by its newest terms and status."""
    holdings = Holdings()
    small = entity("campaign", "camp", CAMPAIGN)
    long = entity("campaign", "camp", msgspec.structs.replace(CAMPAIGN, name="Winter " * 20, advertiser_id="other"))
    for each in (small, long):
        holdings.put(each)
    assert (len(holdings), holdings.terms_bytes) == (1, len(long.terms))
    assert (set(holdings.held("campaign", "adv")), set(holdings.held("campaign", "other"))) == (set(), {"camp"})
    holdings.put(entity("campaign", "camp", CAMPAIGN, "archived"))
    assert not holdings.held("campaign", "other")
    assert not holdings.held("campaign", "adv")
