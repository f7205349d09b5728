"""Bad requests: each is refused with every fault and its path; strange but legal ones are taken."""

from __future__ import annotations

from decimal import Decimal
from time import process_time

import msgspec
import pytest

from domain.errors import Fault, InvalidInput
from domain.limits import REQUEST_DEPTH_MAX, REQUEST_FAULTS_MAX, REQUEST_IMPS_MAX
from domain.openrtb.parse import parse_request

FAULTS_MAX_CPU_SECONDS = 3.0
"""Some ten times of what it takes; it took twenty seconds where each item was looked at too closely."""
BANNER = '{"id":"1","banner":{"w":300,"h":250}}'


def request(imp: str = BANNER, rest: str = "") -> bytes:
    """A request of the given imps and further members, as JSON text."""
    return f'{{"id":"r","imp":[{imp}]{rest}}}'.encode()


def imp(members: str) -> bytes:
    """A request of one imp with these members."""
    return request(imp=f'{{"id":"1",{members}}}')


def faults_listed(body: bytes) -> tuple[Fault, ...]:
    with pytest.raises(InvalidInput) as caught:
        parse_request(body)
    return tuple(caught.value.faults)


def faults_of(body: bytes) -> dict[str, str]:
    return {fault.path: fault.message for fault in faults_listed(body)}


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


BAD: dict[str, tuple[bytes, set[str]]] = {
    "an empty body": (b"", {"$"}),
    "only white space": (b" \n", {"$"}),
    "no JSON": (b"id=1", {"$"}),
    "cut off": (request()[:-1], {"$"}),
    "something behind it": (request() + b"x", {"$"}),
    "a byte order mark": (b"\xef\xbb\xbf" + request(), {"$"}),
    "UTF-16": (request().decode().encode("utf-16"), {"$"}),
    "no UTF-8 in a known field": (request(rest=',"site":{"name":"@"}').replace(b"@", b"\xff"), {"$"}),
    "no UTF-8 in an unknown field": (request(rest=',"zz":"@"').replace(b"@", b"\xff"), {"$"}),
    "an array": (b"[]", {"$"}),
    "a string": (b'"id"', {"$"}),
    "null": (b"null", {"$"}),
    "an empty object": (b"{}", {"id", "imp"}),
    "no id": (b'{"imp":[' + BANNER.encode() + b"]}", {"id"}),
    "an empty id": (request().replace(b'"id":"r"', b'"id":""'), {"id"}),
    "an id that is a number": (request().replace(b'"id":"r"', b'"id":7'), {"id"}),
    "an endless id": (request().replace(b'"id":"r"', b'"id":"' + b"r" * 257 + b'"'), {"id"}),
    "no imps": (request(imp=""), {"imp"}),
    "imps that are null": (b'{"id":"r","imp":null}', {"imp"}),
    "imps that are an object": (b'{"id":"r","imp":{}}', {"imp"}),
    "an imp that is a number": (request(imp="1"), {"imp[0]"}),
    "too many imps": (request(imp=",".join(f'{{"id":"{n}","banner":{{}}}}' for n in range(65))), {"imp"}),
    "an imp without id": (request(imp='{"banner":{}}'), {"imp[0].id"}),
    "imps of one id": (request(imp=f"{BANNER},{BANNER},{BANNER}"), {"imp[1].id", "imp[2].id"}),
    "an imp without media": (request(imp='{"id":"1"}'), {"imp[0]"}),
    "an imp whose only media is null": (request(imp='{"id":"1","banner":null}'), {"imp[0]"}),
    "site and app": (request(rest=',"site":{},"app":{}'), {"app"}),
    "site, app and dooh": (request(rest=',"site":{},"app":{},"dooh":{}'), {"app", "dooh"}),
    "wseat and bseat": (request(rest=',"wseat":["a"],"bseat":["b"]'), {"bseat"}),
    "wlang and wlangb": (request(rest=',"wlang":["en"],"wlangb":["en-GB"]'), {"wlangb"}),
    "acat and bcat": (request(rest=',"acat":["1"],"bcat":["2"]'), {"bcat"}),
    "keywords and kwarray of a site": (request(rest=',"site":{"keywords":"a","kwarray":["a"]}'), {"site.kwarray"}),
    "keywords and kwarray of an app": (request(rest=',"app":{"keywords":"a","kwarray":["a"]}'), {"app.kwarray"}),
    "keywords and kwarray of a user": (request(rest=',"user":{"keywords":"a","kwarray":["a"]}'), {"user.kwarray"}),
    "keywords and kwarray of content": (
        request(rest=',"dooh":{"content":{"keywords":"a","kwarray":["a"]}}'),
        {"dooh.content.kwarray"},
    ),
    "two languages of a device": (request(rest=',"device":{"language":"en","langb":"en-GB"}'), {"device.langb"}),
    "two languages of content": (
        request(rest=',"site":{"content":{"language":"en","langb":"en-GB"}}'),
        {"site.content.langb"},
    ),
    "two ways of stating a video's duration": (
        imp('"video":{"mimes":["video/mp4"],"maxduration":30,"rqddurs":[15]}'),
        {"imp[0].video.rqddurs"},
    ),
    "two ways of stating an audio's duration": (
        imp('"audio":{"mimes":["audio/mp4"],"minduration":5,"rqddurs":[15]}'),
        {"imp[0].audio.rqddurs"},
    ),
    "a duration's floor without a duration": (
        imp('"video":{"mimes":[],"durfloors":[{"mindur":1},{"bidfloor":2},{"maxdur":9}]}'),
        {"imp[0].video.durfloors[1]"},
    ),
    "an audio duration's floor without a duration": (
        imp('"audio":{"mimes":[],"durfloors":[{}]}'),
        {"imp[0].audio.durfloors[0]"},
    ),
    "a deal with three floors": (
        imp('"banner":{},"pmp":{"deals":[{"id":"a"},{"id":"b","bidfloor":1,"mincpmpersec":2,"durfloors":[{}]}]}'),
        {
            "imp[0].pmp.deals[1].mincpmpersec",
            "imp[0].pmp.deals[1].durfloors",
            "imp[0].pmp.deals[1].durfloors[0]",
        },
    ),
    "a measured quantity without its vendor": (
        imp('"banner":{},"qty":{"multiplier":2.5,"sourcetype":1}'),
        {"imp[0].qty.vendor"},
    ),
    "a quantity without its multiplier": (imp('"banner":{},"qty":{}'), {"imp[0].qty.multiplier"}),
    "a metric without type and value": (
        imp('"banner":{},"metric":[{}]'),
        {"imp[0].metric[0].type", "imp[0].metric[0].value"},
    ),
    "a supply chain without anything": (
        request(rest=',"source":{"schain":{"nodes":[{}]}}'),
        {
            "source.schain.complete",
            "source.schain.ver",
            "source.schain.nodes[0].asi",
            "source.schain.nodes[0].sid",
        },
    ),
    "client hints without a brand": (
        request(rest=',"device":{"sua":{"browsers":[{"version":["1"]}],"platform":{}}}'),
        {"device.sua.browsers[0].brand", "device.sua.platform.brand"},
    ),
    "a broken rule inside of what is badly typed": (
        imp('"banner":[],"qty":{"sourcetype":1},"pmp":{"deals":[{"bidfloor":"1","mincpmpersec":2}]}'),
        {
            "imp[0].banner",
            "imp[0].qty.multiplier",
            "imp[0].qty.vendor",
            "imp[0].pmp.deals[0].id",
            "imp[0].pmp.deals[0].bidfloor",
            "imp[0].pmp.deals[0].mincpmpersec",
        },
    ),
    "lists where ids should be": (
        request(imp='{"id":[],"banner":{}},{"id":[],"banner":{}}'),
        {"imp[0].id", "imp[1].id"},
    ),
    "a currency of four letters": (request(rest=',"cur":["USDT"]'), {"cur[0]"}),
    "a currency in small letters": (request(rest=',"cur":["USD","eur"]'), {"cur[1]"}),
    "a currency with a line feed": (request(rest=',"cur":["USD\\n"]'), {"cur[0]"}),
    "a negative tmax": (request(rest=',"tmax":-1'), {"tmax"}),
    "an absurd tmax": (request(rest=',"tmax":99999999999'), {"tmax"}),
    "a tmax with a fraction": (request(rest=',"tmax":100.5'), {"tmax"}),
    "a tmax that is text": (request(rest=',"tmax":"100"'), {"tmax"}),
    "a negative width": (request(imp='{"id":"1","banner":{"w":-300}}'), {"imp[0].banner.w"}),
    "an absurd height": (request(imp='{"id":"1","banner":{"h":100001}}'), {"imp[0].banner.h"}),
    "a negative format": (
        request(imp='{"id":"1","banner":{"format":[{"w":1,"h":1},{"w":-1,"h":-1}]}}'),
        {"imp[0].banner.format[1].w", "imp[0].banner.format[1].h"},
    ),
    "a video without mimes": (request(imp='{"id":"1","video":{}}'), {"imp[0].video.mimes"}),
    "a native without request": (request(imp='{"id":"1","native":{}}'), {"imp[0].native.request"}),
    "a place off the globe": (
        request(rest=',"device":{"geo":{"lat":91,"lon":-181}}'),
        {"device.geo.lat", "device.geo.lon"},
    ),
    "a bare NaN": (request(rest=',"device":{"pxratio":NaN}'), {"device.pxratio"}),
    "a bare Infinity": (request(rest=',"device":{"geo":{"lat":-Infinity}}'), {"device.geo.lat"}),
    "a number no double holds": (request(rest=',"device":{"pxratio":1e400}'), {"device.pxratio"}),
    "such a number in an unknown field": (request(rest=',"zz":{"a b":[0,-1E+400]}'), {"zz['a b'][1]"}),
    "such a number in an extension": (request(rest=',"site":{"ext":{"x":1e400}}'), {"site.ext.x"}),
    "a NUL in a known text": (request(rest=r',"site":{"domain":"a\u0000b"}'), {"site.domain"}),
    "a NUL in an unknown text": (request(rest=r',"zz":["a\u0000b"]'), {"zz[0]"}),
    "a NUL in a name": (request(rest=r',"z\u0000":1'), {r"['z\x00']"}),
    "half of a surrogate pair": (request(rest=r',"site":{"name":"\ud800"}'), {"site.name"}),
    "nested too deep": (request(rest=f',"zz":{nested(REQUEST_DEPTH_MAX)}'), {"$"}),
    "nested a hundred thousand deep": (request(rest=f',"ext":{nested(100_000)}'), {"$"}),
    "a hundred thousand open brackets": (b"[" * 100_000, {"$"}),
    "nothing right": (
        b'{"id":1,"imp":[{"id":"1","bidfloor":-1,"banner":{"w":"300"}},{"id":"1"}],"app":{},"site":{},"at":"first"}',
        {"id", "imp[0].bidfloor", "imp[0].banner.w", "imp[1].id", "imp[1]", "app", "at"},
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_request_is_refused_with_every_fault(what: str) -> None:
    """The paths named are exactly those of the faults."""
    body, paths = BAD[what]
    assert faults_of(body).keys() == paths


@pytest.mark.parametrize(
    ("floor", "message"),
    [
        ("-0.01", "-0.01 is negative"),
        ("1e30", "1E+30 is above 1000000"),
        ("1000000.01", "1000000.01 is above 1000000"),
        ("1e400", "1e400 is not a finite number"),
        ("1e99999999999999999999", "1e99999999999999999999 is not a finite number"),
        ("NaN", "NaN is not a finite number"),
        ('"NaN"', "Expected a number, got `str`"),
        ('"1.5"', "Expected a number, got `str`"),
        ("true", "Expected a number, got `bool`"),
        ("null", "Expected a number, got `null`"),
        ("[]", "Expected a number, got `array`"),
        ("{}", "Expected a number, got `object`"),
    ],
)
def test_a_bad_floor(floor: str, message: str) -> None:
    """A floor is a JSON number from 0 to the limit, and nothing else passes for one."""
    assert faults_of(request(imp=f'{{"id":"1","banner":{{}},"bidfloor":{floor}}}')) == {"imp[0].bidfloor": message}


@pytest.mark.parametrize("floor", ["0", "0.1", "1.10", "0.30000000000000004", "12", "1e2", "1000000", "1e-400"])
def test_a_floor_is_taken_by_its_digits(floor: str) -> None:
    """No binary arithmetic comes near money."""
    (imp,) = parse_request(request(imp=f'{{"id":"1","banner":{{}},"bidfloor":{floor}}}')).request.imp
    assert imp.bidfloor == Decimal(floor)


LEGAL = {
    "unknown fields everywhere": request(
        imp='{"id":"1","banner":{"w":1,"zz":[1]},"zz":{}}', rest=',"zz":null,"site":{"zz":1.5}'
    ),
    "unknown codes": request(imp='{"id":"1","banner":{"pos":999,"api":[77],"btype":[-1]}}', rest=',"at":501,"test":9'),
    "null where nothing is known": request(rest=',"site":null,"device":{"ip":null},"bcat":null,"tmax":null'),
    "empty lists of both kinds": request(rest=',"wseat":[],"bseat":["b"],"cur":[]'),
    "defaults beside their opposites": request(
        imp='{"id":"1","video":{"mimes":[],"minduration":0,"rqddurs":[15]},'
        '"pmp":{"deals":[{"id":"d","bidfloor":0,"mincpmpersec":1.5}]},"qty":{"multiplier":2,"sourcetype":2}}',
        rest=',"site":{"keywords":"","kwarray":["a"]},"device":{"language":"en","langb":""}',
    ),
    "a key twice": b'{"id":"old","id":"r","imp":[' + BANNER.encode() + b"]}",
    "white space": b"\r\n\t " + request().replace(b",", b" ,\n") + b"\n",
    "as many imps as allowed": request(imp=",".join(f'{{"id":"{n}","banner":{{}}}}' for n in range(REQUEST_IMPS_MAX))),
    "as deep as allowed": request(rest=f',"zz":{nested(REQUEST_DEPTH_MAX - 1)}'),
    "brackets in a text": request(rest=',"zz":"' + "[" * 100 + '"'),
    "many brackets side by side": request(rest=',"zz":[' + ",".join(["[]"] * 500) + "]"),
    "a backslash before u0000": request(rest=r',"zz":"C:\\u0000"'),
    "other alphabets": request(rest=',"site":{"name":"Ελλάδα \\ud83d\\ude00 😀"}'),
    "the largest double": request(rest=',"zz":1.7976931348623157e308'),
}


@pytest.mark.parametrize("what", LEGAL)
def test_a_strange_but_legal_request_is_taken(what: str) -> None:
    """What the specification tolerates is tolerated."""
    assert parse_request(LEGAL[what]).request.id == "r"


def test_imps_without_ids_are_not_taken_for_repeated_ones() -> None:
    """Each lacks its id, and that is all that is said of it."""
    messages = faults_of(request(imp='{"banner":{}},{"banner":{}},{"id":[],"banner":{}},{"id":[],"banner":{}}'))
    assert [messages[f"imp[{index}].id"] for index in (0, 1)] == ["required"] * 2
    assert messages["imp[3].id"] == "Expected `str`, got `array`"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (request(rest=f',"badv":{["a.b"] * 4_097}'.replace("'", '"')), {"badv": "more than 4096"}),
        (request(rest=f',"wlang":{["en"] * 257}'.replace("'", '"')), {"wlang": "more than 256"}),
        (imp(f'"banner":{{"format":{[{}] * 257}}}'), {"imp[0].banner.format": "more than 256"}),
        (
            imp(f'"banner":{{}},"pmp":{{"deals":{[{"id": "d"}] * 257}}}'.replace("'", '"')),
            {"imp[0].pmp.deals": "more than 256"},
        ),
        (
            imp(f'"banner":{{"battr":{[-(2**40), *[1] * 256]}}}'),
            {"imp[0].banner.battr": "more than 256", "imp[0].banner.battr[0]": "Expected `int` >= -2147483648"},
        ),
    ],
    ids=["advertisers", "languages", "sizes", "deals", "attributes, of which one is none"],
)
def test_lists_are_bounded(body: bytes, fault: dict[str, str]) -> None:
    """Each bid is held against them, so that nobody's list may be endless; the bound is named."""
    assert faults_of(body) == fault


def test_a_long_list_is_taken() -> None:
    """Up to its bound."""
    blocked = [f"{number}.example" for number in range(4_096)]
    parsed = parse_request(request(rest=f',"badv":{msgspec.json.encode(blocked).decode()}'))
    assert parsed.request.badv == tuple(blocked)


def test_faults_are_bounded() -> None:
    """A body of nothing but faults costs neither long work nor a long answer."""
    body = request(imp=",".join(['{"bidfloor":-1}'] * 10_000))
    assert len(faults_listed(body)) == REQUEST_FAULTS_MAX


@pytest.mark.parametrize(
    "many",
    [
        request(imp='{"id":"1","video":{"mimes":[],"durfloors":[' + ",".join(["{}"] * 80_000) + "]}}"),
        request(imp='{"id":"1","video":{"mimes":[],"durfloors":[' + ",".join(["1"] * 100_000) + "]}}"),
        request(
            imp='{"id":"1","banner":{},"pmp":{"deals":['
            + ",".join(['{"id":"a","bidfloor":1,"mincpmpersec":2}'] * 5_000)
            + "]}}"
        ),
    ],
    ids=["broken rules", "wrong types", "broken rules of deals"],
)
def test_many_faults_of_one_list_cost_little(many: bytes) -> None:
    """As many as fit into a body: whoever sends them keeps nobody else waiting."""
    started = process_time()
    assert len(faults_listed(many)) == REQUEST_FAULTS_MAX
    assert process_time() - started < FAULTS_MAX_CPU_SECONDS


def test_messages_are_bounded() -> None:
    """An endless number is not echoed in full."""
    messages = faults_of(request(imp=f'{{"id":"1","banner":{{}},"bidfloor":{"9" * 4_000}}}'))
    assert all(len(message) <= 200 for message in messages.values())


def test_members_are_kept_as_they_came() -> None:
    """Known and unknown top-level members alike keep their very text."""
    members = parse_request(request(rest=',"zz":{"b":1.10, "a":[ ]},"tmax":100')).members
    assert {name: bytes(raw) for name, raw in members.items()} == {
        "id": b'"r"',
        "imp": f"[{BANNER}]".encode(),
        "zz": b'{"b":1.10, "a":[ ]}',
        "tmax": b"100",
    }


def test_extensions_are_kept_as_they_came() -> None:
    """An object's `ext` is the text that was sent."""
    (imp,) = parse_request(request(imp='{"id":"1","banner":{},"ext":{"gpid":"/1/top" }}')).request.imp
    assert isinstance(imp.ext, msgspec.Raw)
    assert bytes(imp.ext) == b'{"gpid":"/1/top" }'


def test_faults_serialise() -> None:
    """Whatever a body holds, its faults can be sent back as JSON."""
    with pytest.raises(InvalidInput) as caught:
        parse_request(request(rest=r',"\ud800":"\ud800","tmax":"x"'))
    assert msgspec.json.encode(caught.value.faults)
