"""Under which keys a viewer is looked up, and what a record says of its segments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audience import record_keys, segments_in
from domain.openrtb.parse import parse_request
from domain.openrtb.person import Device, User
from domain.openrtb.request import BidRequest
from domain.openrtb.restrictions import may_be_profiled, restrictions_of
from tests.domain.test_tcf import tc_string

IFA = "6D92078A-8246-4BA4-AE5B-76104861E7DC"


@pytest.mark.parametrize(
    ("user", "device", "keys"),
    [
        (None, None, ()),
        (User(), Device(), ()),
        (User(id="u"), None, ("u",)),
        (User(buyeruid="b", id="u"), Device(ifa=IFA), ("u", "b", IFA)),
        (User(id="same", buyeruid="same"), Device(ifa="same"), ("same",)),
        (User(id=""), Device(ifa="00000000-0000-0000-0000-000000000000"), ()),
        (User(id="0"), Device(ifa="0000"), ()),
        (User(id="u" * 513, buyeruid="a\nb"), Device(ifa="ü" * 257), ()),
        (User(id="u" * 512), Device(ifa="ü" * 256), ("u" * 512, "ü" * 256)),
    ],
)
def test_keys(user: User | None, device: Device | None, keys: tuple[str, ...]) -> None:
    """The publisher's id, the buyer's, the device's; none that names nobody, or that no record could stand under."""
    assert record_keys(BidRequest(id="r", imp=(), user=user, device=device)) == keys


@pytest.mark.parametrize(
    ("value", "segments"),
    [
        (b'{"segments":["cars","boats"]}', ("cars", "boats")),
        (b'{"name":{"first":"A"},"segments":["cars"]}', ("cars",)),
        (b'{"segments":["cars",7,null,["boats"],{"a":1}]}', ("cars",)),
        (b'{"segments":"cars"}', ()),
        (b'{"segments":{"cars":1}}', ()),
        (b"{}", ()),
        (b'["cars"]', ()),
        (b'{"segments":["cars"', ()),
        (b'{"segments":["c\xffrs"]}', ()),
    ],
)
def test_segments(value: bytes, segments: tuple[str, ...]) -> None:
    """The texts of the list `segments`; a record in another form has none."""
    assert segments_in(value) == segments


@given(value=st.binary())
def test_no_value_is_a_fault(value: bytes) -> None:
    """Feed clients send whatever they like; an auction goes on."""
    segments_in(value)


@pytest.mark.parametrize(
    ("members", "may"),
    [
        ("", True),
        (',"regs":{"coppa":0}', True),
        (',"regs":{"coppa":1}', False),
        (',"device":{"lmt":1}', False),
        (',"device":{"dnt":1}', False),
        (',"regs":{"us_privacy":"1YYN"}', False),
        (',"regs":{"us_privacy":"1YNN"}', True),
        (',"regs":{"gdpr":1}', False),
        (',"regs":{"ext":{"gdpr":1}}', False),
        (f',"regs":{{"gdpr":0}},"user":{{"consent":"{tc_string([])}"}}', True),
        (f',"regs":{{"gdpr":1}},"user":{{"consent":"{tc_string([1, 2, 3], {1})}"}}', False),
        (f',"regs":{{"gdpr":1}},"user":{{"consent":"{tc_string([4], {1})}"}}', False),
        (f',"regs":{{"gdpr":1}},"user":{{"consent":"{tc_string([1, 4])}"}}', True),
        (f',"regs":{{"gdpr":1,"coppa":1}},"user":{{"consent":"{tc_string([1, 4])}"}}', False),
        (f',"regs":{{"gpp_sid":[2],"gpp":"DBABM~{tc_string([1, 4])}"}}', True),
        (f',"regs":{{"gpp_sid":[2],"gpp":"DBABM~{tc_string([1, 2])}"}}', False),
    ],
)
def test_who_may_be_looked_up(members: str, may: bool) -> None:
    """Whom nothing hides; under the GDPR only who agreed to ads that are chosen by a profile."""
    request = parse_request(f'{{"id":"r","imp":[{{"id":"1","banner":{{}}}}]{members}}}'.encode()).request
    assert may_be_profiled(request, restrictions_of(request)) is may
