"""What leaves: everything for bidders, unless the person or the law forbids it; nothing personal for the log."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from domain.openrtb.minimised import request_for_log
from domain.openrtb.parse import ParsedRequest, parse_request
from domain.openrtb.restrictions import restrictions_of
from tests.domain.test_tcf import ALL_ALLOWED, NO_PURPOSE, THREE_PURPOSES
from tests.domain.trading import told_to_anybody

KEY = b"a key of these tests"
IDS = {
    "user.id": "id-of-the-user",
    "user.buyeruid": "id-at-the-buyer",
    "user.customdata": "id-in-a-cookie",
    "uid": "id-of-a-graph",
    "user.ext": "id-in-user-ext",
    "device.ext": "id-in-device-ext",
    "geo.ext": "id-in-geo-ext",
    "sua.ext": "id-in-hints-ext",
    "sua.browser.ext": "id-in-browser-ext",
    "sua.platform.ext": "id-in-platform-ext",
    "unknown": "id-in-an-unknown-field",
    **{
        f"device.{name}": f"{name}-value"
        for name in ("ifa", "didsha1", "didmd5", "dpidsha1", "dpidmd5", "macsha1", "macmd5")
    },
}
PLACES = ("52.5163", "13.3777", "10117", "203.0.113.77", "2001:db8:abcd:12::77")


def full_request(**changes: Any) -> dict[str, Any]:
    """A request that holds everything that tells one person from another, and unknown fields besides."""
    geo = {"lat": 52.5163, "lon": 13.3777, "accuracy": 5, "country": "DEU", "region": "BE", "zip": "10117"}
    geo["ext"] = {"x": IDS["geo.ext"]}
    return {
        "id": "r",
        "imp": [{"id": "1", "banner": {"w": 300, "h": 250, "zz": 1}, "ext": {"gpid": "/1"}}],
        "site": {"domain": "news.example", "zz": [1]},
        "device": {
            **{name: IDS[f"device.{name}"] for name in ("ifa", "didsha1", "didmd5", "dpidsha1", "dpidmd5")},
            **{name: IDS[f"device.{name}"] for name in ("macsha1", "macmd5")},
            "ip": "203.0.113.77",
            "ipv6": "2001:db8:abcd:12::77",
            "ua": "Mozilla/5.0",
            "devicetype": 2,
            "sua": {
                "browsers": [{"brand": "Firefox", "version": ["140"], "ext": {"x": IDS["sua.browser.ext"]}}],
                "platform": {"brand": "Linux", "ext": {"x": IDS["sua.platform.ext"]}},
                "ext": {"x": IDS["sua.ext"]},
            },
            "geo": geo,
            "zz": IDS["unknown"],
            "ext": {"idfv": IDS["device.ext"]},
        },
        "user": {
            "id": IDS["user.id"],
            "buyeruid": IDS["user.buyeruid"],
            "customdata": IDS["user.customdata"],
            "yob": 1984,
            "gender": "F",
            "geo": geo,
            "data": [{"id": "provider", "segment": [{"id": "cars"}]}],
            "eids": [{"source": "graph.example", "uids": [{"id": IDS["uid"], "atype": 1}]}],
            "zz": IDS["unknown"],
            "ext": {"x": IDS["user.ext"]},
        },
        "zz": {"kept": 1.10},
        "tmax": 120,
        **changes,
    }


def body(content: dict[str, Any]) -> bytes:
    return msgspec.json.encode(content)


def for_bidders(content: dict[str, Any]) -> bytes:
    parsed = parse_request(body(content))
    return told_to_anybody(parsed, restrictions_of(parsed.request)).body(80)


def log_copy(parsed: ParsedRequest, key: bytes) -> msgspec.Raw:
    return request_for_log(parsed, key, restrictions_of(parsed.request))


def for_log(content: dict[str, Any]) -> bytes:
    return bytes(log_copy(parse_request(body(content)), KEY))


RESTRICTIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "COPPA": ({"regs": {"coppa": 1}}, ("coppa",)),
    "limited tracking": ({"device": {"lmt": 1}}, ("lmt",)),
    "do not track": ({"device": {"dnt": 1}}, ("dnt",)),
    "GDPR without consent": ({"regs": {"gdpr": 1}}, ("gdpr",)),
    "GDPR with an empty consent": ({"regs": {"gdpr": 1}, "user": {"consent": " "}}, ("gdpr",)),
    "GDPR with a consent that nobody can read": ({"regs": {"gdpr": 1}, "user": {"consent": "CPXxRf"}}, ("gdpr",)),
    "GDPR with all refused": ({"regs": {"gdpr": 1}, "user": {"consent": NO_PURPOSE}}, ("gdpr",)),
    "GDPR as OpenRTB 2.5 said it": ({"regs": {"ext": {"gdpr": 1}}}, ("gdpr",)),
    "GDPR by GPP, all refused": ({"regs": {"gpp_sid": [2], "gpp": f"DBABMA~{NO_PURPOSE}"}}, ("gdpr",)),
    "GDPR by GPP without a string": ({"regs": {"gpp_sid": [2]}}, ("gdpr",)),
    "an opt-out in the USA": ({"regs": {"us_privacy": "1YYN"}}, ("us_privacy",)),
    "an opt-out in small letters": ({"regs": {"us_privacy": "1-y-"}}, ("us_privacy",)),
    "an opt-out as OpenRTB 2.5 said it": ({"regs": {"ext": {"us_privacy": "1YYY"}}}, ("us_privacy",)),
    "an opt-out by GPP": ({"regs": {"gpp_sid": [6], "gpp": "DBABTA~1YYN"}}, ("us_privacy",)),
    "an opt-out by GPP behind another section": (
        {"regs": {"ext": {"gpp_sid": [6], "gpp": f"DBACNYA~{NO_PURPOSE}~1YYN"}}},
        ("us_privacy",),
    ),
    "several at once": (
        {"regs": {"coppa": 1, "gdpr": 1, "us_privacy": "1YYN"}, "device": {"lmt": 1, "dnt": 1}},
        ("coppa", "lmt", "dnt", "gdpr", "us_privacy"),
    ),
    "an opt-out beside a consent without precise places": (
        {"regs": {"gdpr": 1, "us_privacy": "1YYN"}, "user": {"consent": THREE_PURPOSES}},
        ("gdpr_geo", "us_privacy"),
    ),
}
"""What is said, and how the log names it."""
NO_RESTRICTIONS: dict[str, dict[str, Any]] = {
    "nothing said": {},
    "all said to be off": {"regs": {"coppa": 0, "gdpr": 0, "us_privacy": "1YNN"}, "device": {"lmt": 0, "dnt": 0}},
    "consent": {"regs": {"gdpr": 1}, "user": {"consent": ALL_ALLOWED}},
    "consent as OpenRTB 2.5 said it": {"regs": {"ext": {"gdpr": 1}}, "user": {"ext": {"consent": ALL_ALLOWED}}},
    "consent in GPP": {"regs": {"gpp_sid": [2], "gpp": f"DBABMA~{ALL_ALLOWED}"}},
    "a refusal where GDPR is not said to apply": {"user": {"consent": NO_PURPOSE}},
    "sections of GPP that do not apply": {"regs": {"gpp_sid": [7], "gpp": f"DBACNYA~{NO_PURPOSE}~1YYN"}},
    "US privacy that does not apply": {"regs": {"us_privacy": "1---"}},
    "US privacy that nobody can read": {"regs": {"us_privacy": "yes", "ext": {"us_privacy": 1}}},
    "extensions that are no objects": {"regs": {"ext": [1]}, "user": {"ext": "x"}},
    "extensions of other types": {"regs": {"ext": {"gdpr": [1], "gpp": 1, "gpp_sid": "2", "us_privacy": {}}}},
}


def with_changes(changes: dict[str, Any]) -> dict[str, Any]:
    """The full request with the changes merged into its objects."""
    content = full_request()
    return content | {name: {**content.get(name, {}), **value} for name, value in changes.items()}


@pytest.mark.parametrize("what", NO_RESTRICTIONS)
def test_bidders_get_all_where_nothing_forbids_it(what: str) -> None:
    """Ids, unknown fields and extensions reach the bidder; only the time that is left is another."""
    content = with_changes(NO_RESTRICTIONS[what])
    assert not restrictions_of(parse_request(body(content)).request)
    assert msgspec.json.decode(for_bidders(content)) == content | {"tmax": 80}


@pytest.mark.parametrize("what", RESTRICTIONS)
def test_bidders_learn_nobody_where_something_forbids_it(what: str) -> None:
    """No id, no address, no precise place is left; what is not about the person is all there."""
    changes, reasons = RESTRICTIONS[what]
    content = with_changes(changes)
    assert restrictions_of(parse_request(body(content)).request) == reasons
    sent = for_bidders(content)
    assert [secret for secret in (*IDS.values(), *PLACES, "1984", "cars") if secret.encode() in sent] == []
    received = msgspec.json.decode(sent)
    assert received["device"]["ip"] == "203.0.113.0"
    assert received["device"]["ipv6"] == "2001:db8:abcd::"
    assert received["device"]["ua"] == "Mozilla/5.0"
    assert received["device"]["geo"] == {"country": "DEU", "region": "BE"}
    rest = ("id", "imp", "site", "zz")
    assert {name: received[name] for name in rest} == {name: content[name] for name in rest}
    assert received["tmax"] == 80


def test_consent_without_precise_places_blurs_the_place_only() -> None:
    """Bidders get ids, unknown fields and extensions, but no place that is more exact than some kilometres."""
    content = with_changes({"regs": {"gdpr": 1}, "user": {"consent": THREE_PURPOSES}})
    received = msgspec.json.decode(for_bidders(content))
    place = {"lat": 52.5, "lon": 13.4, "country": "DEU", "region": "BE"}
    assert received["device"] == content["device"] | {"geo": place}
    assert received["user"] == content["user"] | {"geo": place}
    assert received["tmax"] == 80


def test_signals_survive_their_own_restriction() -> None:
    """Bidders are told why ids are missing."""
    received = msgspec.json.decode(for_bidders(with_changes({"device": {"lmt": 1}, "regs": {"coppa": 1}})))
    assert (received["device"]["lmt"], received["regs"]) == (1, {"coppa": 1})


def test_consent_of_a_child_s_request_stays() -> None:
    """The consent string goes out whatever else does not."""
    received = msgspec.json.decode(for_bidders(with_changes({"regs": {"coppa": 1}, "user": {"consent": NO_PURPOSE}})))
    assert received["user"]["consent"] == NO_PURPOSE


def test_the_publisher_s_tmax_is_replaced() -> None:
    """A reader that takes the first of two equal keys must not find the publisher's."""
    assert for_bidders(full_request(tmax=120)).count(b'"tmax"') == 1


def test_each_bidder_has_its_own_time() -> None:
    """One template serves bidders of different deadlines, and adds `tmax` where the publisher named none."""
    template = told_to_anybody(parse_request(b'{"id":"r","imp":[{"id":"1","banner":{}}]}'), ())
    assert [msgspec.json.decode(template.body(tmax))["tmax"] for tmax in (5, 5_000)] == [5, 5_000]


@pytest.mark.parametrize("changes", [*NO_RESTRICTIONS.values(), *(changes for changes, _ in RESTRICTIONS.values())])
def test_the_log_never_learns_who_it_was(changes: dict[str, Any]) -> None:
    """No id, no full address, no precise place is in the copy for the log, restricted or not."""
    logged = for_log(with_changes(changes))
    assert [secret for secret in (*IDS.values(), *PLACES, "1984") if secret.encode() in logged] == []


def test_the_log_recognises_a_person_under_one_key() -> None:
    """The same id is the same pseudonym in every request, and another one under another key."""
    parsed = parse_request(body(full_request()))
    first = msgspec.json.decode(log_copy(parsed, KEY))
    again = msgspec.json.decode(for_log(full_request(id="r2")))
    other_key = msgspec.json.decode(log_copy(parsed, b"another key"))
    assert first["user"]["id"] == again["user"]["id"]
    assert first["device"]["ifa"] == again["device"]["ifa"]
    assert first["user"]["eids"] == again["user"]["eids"]
    assert first["user"]["id"] != other_key["user"]["id"]


def test_the_log_keeps_the_rest() -> None:
    """What was on sale, unknown fields included, the coarse place, the segments and the publisher's own tmax."""
    content = full_request()
    logged = msgspec.json.decode(for_log(content))
    rest = ("id", "imp", "site", "zz", "tmax")
    assert {name: logged[name] for name in rest} == {name: content[name] for name in rest}
    assert logged["device"]["geo"] == {"lat": 52.5, "lon": 13.4, "country": "DEU", "region": "BE"}
    assert logged["user"]["data"] == content["user"]["data"]
    assert logged["user"]["eids"][0]["source"] == "graph.example"


def test_a_restricted_request_leaves_no_pseudonyms() -> None:
    """Who must not be known is not to be recognised either."""
    logged = msgspec.json.decode(for_log(with_changes({"regs": {"coppa": 1}})))
    assert set(logged["user"]) == {"geo"}
    assert "ifa" not in logged["device"]


def test_a_request_about_nobody_is_logged_as_it_came() -> None:
    """Without device and user there is nothing to minimise."""
    content = {"id": "r", "imp": [{"id": "1", "banner": {}}], "zz": 1}
    assert msgspec.json.decode(for_log(content)) == content


def test_addresses_that_are_none_are_dropped_from_the_log() -> None:
    """What is in the field of an address and is none may be anything."""
    logged = msgspec.json.decode(for_log(full_request(device={"ip": "anna@example.com", "ipv6": "x:y"})))
    assert not logged["device"].keys() & {"ip", "ipv6"}
