"""Terms as their owners state them: what is taken, what is refused and where, and that nothing is lost on the way."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from domain.catalogue import CurrencyRate, Deal, FloorRule, Placement, Publisher
from domain.entity import Entity, EntityKind
from domain.errors import InvalidInput
from domain.terms.kinds import all_forms

FORMS = all_forms(allow_private=False)
LEAST: dict[EntityKind, dict[str, Any]] = {
    "publisher": {"name": "Daily", "domain": "daily.example", "share_bps": 8_500},
    "placement": {"publisher_id": "pub", "name": "Top", "sizes": [[300, 250]]},
    "bidder": {"name": "Alfa", "endpoint": "https://alfa.example/bid"},
    "deal": {"bidder_ids": ["alfa"]},
    "currency_rate": {"base": "EUR", "quote": "USD", "rate": "1.08"},
    "advertiser": {"name": "Shop", "domain": "shop.example"},
    "campaign": {"advertiser_id": "adv", "name": "Winter", "bid_cpm": "2.00", "budget": "100.00"},
    "ad": {
        "campaign_id": "camp",
        "name": "Coats",
        "width": 300,
        "height": 250,
        "landing_url": "https://shop.example/coats",
        "html": "<b>Coats</b>",
    },
    "access_key": {"name": "Reports", "role": "admin"},
    "feed_client": {"name": "data-co"},
}


def faults(kind: EntityKind, stated: Any) -> dict[str, str]:
    """Path to message."""
    with pytest.raises(InvalidInput) as refused:
        FORMS[kind].registration(msgspec.json.encode(stated))
    return {fault.path: fault.message for fault in refused.value.faults}


def terms(kind: EntityKind, **stated: Any) -> Any:
    return FORMS[kind].registration(msgspec.json.encode(LEAST[kind] | stated)).terms


def test_the_least_that_is_needed() -> None:
    """What is left out is as usual."""
    assert terms("publisher") == Publisher(name="Daily", domain="daily.example", share_bps=8_500)
    assert terms("placement") == Placement(publisher_id="pub", name="Top", sizes=((300, 250),))
    assert terms("deal") == Deal(bidder_ids=("alfa",))
    assert terms("currency_rate") == CurrencyRate(base="EUR", quote="USD", rate="1.08")


@pytest.mark.parametrize("kind", LEAST)
def test_every_required_field_is_missed(kind: EntityKind) -> None:
    """All at once, and a null counts as absent."""
    assert faults(kind, {}).keys() == LEAST[kind].keys()
    assert faults(kind, dict.fromkeys(LEAST[kind])).keys() == LEAST[kind].keys()


@pytest.mark.parametrize("kind", LEAST)
def test_a_field_that_is_none_is_refused(kind: EntityKind) -> None:
    """A slip of the pen must not pass for a default; what Gavel itself adds cannot be stated."""
    paths = faults(kind, LEAST[kind] | {"floor": "1.00", "version": 3, "status": "paused"}).keys()
    assert paths == {"floor", "version", "status"}


@pytest.mark.parametrize(
    ("stated", "micros", "shown"),
    [("0.50", 500_000, "0.50"), ("1", 1_000_000, "1.00"), ("0.000001", 1, "0.000001"), ("12.340", 12_340_000, "12.34"),
     (1e2, 100_000_000, "100.00"), (0.1, 100_000, "0.10"), (2, 2_000_000, "2.00"), ("1000000", 10**12, "1000000.00")],
)  # fmt: skip
def test_money_is_exact(stated: Any, micros: int, shown: str) -> None:
    """Decimal text to micros and back; a JSON number goes through its shortest text."""
    deal = terms("deal", floor_cpm=stated)
    assert deal.floor_micros == micros
    assert FORMS["deal"].as_stated(deal)["floor_cpm"] == shown


@pytest.mark.parametrize(
    "stated",
    ["-0.01", "0.0000001", "NaN", "Infinity", "1000000.01", "1e400", "1e-400", "1,50", "", "one", [], True, {},
     "1_000", " 1", "1\n", "+1", "1e2", "\u0663", "\uff11", "1.2.3", "1.", ".5", "0x1", 1e-7, 1e300],
)  # fmt: skip
def test_money_that_is_none(stated: Any) -> None:
    """Each is refused at its field."""
    assert faults("placement", LEAST["placement"] | {"floor_cpm": stated}).keys() == {"floor_cpm"}


@pytest.mark.parametrize("rate", ["0.0000001", "0.000000000001", "100000000", 1e-7])
def test_a_rate_is_shown_as_it_can_be_stated(rate: str | float) -> None:
    """However small it is, without an exponent."""
    stated = terms("currency_rate", rate=rate)
    shown = FORMS["currency_rate"].as_stated(stated)
    assert shown["rate"] == ("0.0000001" if rate == 1e-7 else rate)
    assert terms("currency_rate", **shown) == stated


@pytest.mark.parametrize("kind", ["placement", "publisher"])
@pytest.mark.parametrize(
    "conditions",
    [{}, {"country": "DEU"}, {"country": "DEU", "device_type": 4, "size": [300, 250], "media_type": "video"}],
)
def test_two_floors_for_the_same_traffic(kind: EntityKind, conditions: dict[str, Any]) -> None:
    """Which of them counts nobody could tell: the second is refused, whatever its price and currency."""
    rule = {"floor_cpm": "1.00", **conditions}
    other = {"floor_cpm": "1.00", "country": "FRA"}
    again = {"floor_cpm": "2.00", "currency": "GBP", "country": None, **conditions}
    found = faults(kind, LEAST[kind] | {"floor_rules": [rule, other, again]})
    assert found == {"floor_rules[2]": "is for exactly the same traffic as floor_rules[0]"}
    assert len(terms(kind, floor_rules=[rule, other]).floor_rules) == 2


def test_rules_are_in_their_placements_currency() -> None:
    """Unless they state their own; a publisher's are in dollars; what a rule leaves open is not shown."""
    rules = [{"floor_cpm": "1.00", "country": "DEU"}, {"floor_cpm": "2.00", "currency": "GBP", "size": [300, 250]}]
    placement = terms("placement", currency="EUR", floor_rules=rules)
    assert placement.floor_rules == (
        FloorRule(floor_micros=1_000_000, currency="EUR", country="DEU"),
        FloorRule(floor_micros=2_000_000, currency="GBP", size=(300, 250)),
    )
    assert FORMS["placement"].as_stated(placement)["floor_rules"] == [
        {"floor_cpm": "1.00", "currency": "EUR", "country": "DEU"},
        {"floor_cpm": "2.00", "currency": "GBP", "size": [300, 250]},
    ]
    assert [rule.currency for rule in terms("publisher", floor_rules=rules).floor_rules] == ["USD", "GBP"]


@pytest.mark.parametrize(
    ("kind", "field", "value", "paths"),
    [
        ("publisher", "domain", "https://daily.example", {"domain"}),
        ("publisher", "domain", "192.0.2.1", {"domain"}),
        ("publisher", "share_bps", 10_001, {"share_bps"}),
        ("publisher", "share_bps", -1, {"share_bps"}),
        ("publisher", "name", "a\u0000b", {"name"}),
        ("publisher", "floor_rules", [7], {"floor_rules[0]"}),
        ("publisher", "floor_rules", {}, {"floor_rules"}),
        ("publisher", "floor_rules", [{}], {"floor_rules[0].floor_cpm"}),
        ("publisher", "floor_rules", [{"floor_cpm": "1.00", "country": "de"}], {"floor_rules[0].country"}),
        ("publisher", "floor_rules", [{"floor_cpm": "1.00", "media_type": "smell"}], {"floor_rules[0].media_type"}),
        ("publisher", "floor_rules", [{"floor_cpm": "1.00"}] * 257, {"floor_rules"}),
        ("placement", "sizes", [[300]], {"sizes[0]"}),
        ("placement", "sizes", [[300, 250], [300, 250, 1], [0, 1], [1, 100_001]],
         {"sizes[1]", "sizes[2][0]", "sizes[3][1]"}),
        ("placement", "publisher_id", "a/b", {"publisher_id"}),
        ("placement", "badv", ["ok.example", "not a name"], {"badv[1]"}),
        ("placement", "bcat", [""], {"bcat[0]"}),
        ("placement", "battr", ["x", 1], {"battr[0]"}),
        ("placement", "cattax", -1, {"cattax"}),
        ("placement", "required_bid_fields", ["crid", "price"], {"required_bid_fields[1]"}),
        ("placement", "auction", "fixed_price", {"auction"}),
        ("placement", "currency", "eur", {"currency"}),
        ("bidder", "sizes", [["a", 1]], {"sizes[0][0]"}),
        ("bidder", "device_types", [0], {"device_types[0]"}),
        ("bidder", "price_adjustment_bps", 10_001, {"price_adjustment_bps"}),
        ("bidder", "price_adjustment_bps", 0, {"price_adjustment_bps"}),
        ("bidder", "accepts_gzip", "yes", {"accepts_gzip"}),
        ("campaign", "starts_at", "2099-12-31T23:59:59-12:00", {"starts_at"}),
        ("campaign", "ends_at", "2000-01-01T00:00:00+01:00", {"ends_at"}),
        ("campaign", "ends_at", "9999-12-31T23:59:59-12:00", {"ends_at"}),
        ("ad", "html", '{"assets": ["${GAVEL_CLICK_URL}"]}', {"html"}),
        ("ad", "html", '<VAST><Ad id="${GAVEL_CLICK_URL}"></Ad></VAST>', {"html"}),
        ("deal", "bidder_ids", [], {"bidder_ids"}),
        ("deal", "id", "", {"id"}),
        ("deal", "id", "has blank", {"id"}),
        ("deal", "id", "x" * 65, {"id"}),
        ("deal", "id", 5, {"id"}),
        ("deal", "id", ".", {"id"}),
        ("deal", "id", "..", {"id"}),
        ("deal", "id", "...", {"id"}),
        ("deal", "id", "GBP-USD", {"id"}),
        ("deal", "auction", "fixed_price", {"floor_cpm"}),
        ("deal", "wadomain", ["shop example"], {"wadomain[0]"}),
        ("currency_rate", "base", "USD", {"quote"}),
        ("currency_rate", "base", "euro", {"base"}),
        ("currency_rate", "rate", "0", {"rate"}),
        ("currency_rate", "rate", "-1", {"rate"}),
        ("currency_rate", "rate", "NaN", {"rate"}),
        ("currency_rate", "rate", "1e10", {"rate"}),
        ("currency_rate", "rate", "0.0000000000001", {"rate"}),
    ],
)  # fmt: skip
def test_single_faults(kind: EntityKind, field: str, value: Any, paths: set[str]) -> None:
    """Each bad value is named by its own path and nothing else is."""
    assert faults(kind, LEAST[kind] | {field: value}).keys() == paths


@pytest.mark.parametrize("deal_id", ["GBP-USD-1", "gbp-usd", "GBP-USDT", "xGBP-USD", ".a", "a..", "GBPUSD"])
def test_deal_ids_that_only_resemble_forbidden_ones(deal_id: str) -> None:
    """They neither take a rate's id nor vanish from an address."""
    assert FORMS["deal"].registration(msgspec.json.encode(LEAST["deal"] | {"id": deal_id})).id == deal_id


def test_a_flight_at_the_edge_of_its_years_can_be_stated_again() -> None:
    """Whatever the zone that it was first stated in: it is kept, shown and judged in UTC."""
    first = terms("campaign", starts_at="2000-01-01T01:00:00+01:00", ends_at="2100-01-01T11:59:59+12:00")
    shown = FORMS["campaign"].as_stated(first)
    assert shown["ends_at"] == "2099-12-31T23:59:59Z"
    assert FORMS["campaign"].registration(msgspec.json.encode(shown)).terms == first


def test_faults_are_bounded() -> None:
    """Who sends thousands has learned enough from a hundred."""
    assert len(faults("deal", {f"field_{number}": 1 for number in range(2_000)})) == 100


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b'{"name": "\xff"}', b'"text"', b"[" * 60_000, b'{"a":' * 900 + b"1" + b"}" * 900],
)
def test_what_is_no_object(body: bytes) -> None:
    """One fault, at the root, for a registration and for a patch."""
    entity = Entity("deal", "deal-1", 1, "active", msgspec.Raw(msgspec.json.encode(terms("deal"))))
    for read in (FORMS["deal"].registration, lambda patch: FORMS["deal"].patched(entity, patch)):
        with pytest.raises(InvalidInput) as refused:
            read(body)
        assert [fault.path for fault in refused.value.faults] == [""]


@pytest.mark.parametrize("kind", LEAST)
def test_what_is_shown_can_be_stated_again(kind: EntityKind) -> None:
    """An entity's fields, sent back as they are, change nothing."""
    first = terms(kind)
    shown = FORMS[kind].as_stated(first)
    assert FORMS[kind].registration(msgspec.json.encode(shown)).terms == first
    assert (
        FORMS[kind].patched(
            Entity(kind, "x", 1, "active", msgspec.Raw(msgspec.json.encode(first))), msgspec.json.encode(shown)
        )
        == first
    )


def test_a_patch_takes_away_and_replaces() -> None:
    """Null restores the default, lists are replaced whole; a required field cannot be taken away."""
    placement = Entity(
        "placement",
        "top",
        1,
        "active",
        msgspec.Raw(msgspec.json.encode(terms("placement", badv=["a.example"], bcat=["IAB7"]))),
    )
    patched = FORMS["placement"].patched(placement, b'{"badv": null, "bcat": ["IAB8"], "floor_cpm": "1.50"}')
    assert patched == terms("placement", bcat=["IAB8"], floor_cpm="1.50")
    with pytest.raises(InvalidInput) as refused:
        FORMS["placement"].patched(placement, b'{"name": null, "sizes": {"0": null}, "id": "other"}')
    assert {fault.path for fault in refused.value.faults} == {"name", "sizes", "id"}
