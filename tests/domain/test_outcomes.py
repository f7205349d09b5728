"""What becomes of a bidder's answer: one outcome per imp, several bids and groups included."""

from __future__ import annotations

from time import process_time
from typing import Any

import msgspec
import pytest

from domain.invitation import Invitation
from domain.limits import BIDS_PER_RESPONSE_MAX, OTHER_BIDS_MAX_BYTES
from domain.openrtb.parse import parse_response
from domain.outcomes import Missed, Outcome, Placed, notices_of, outcomes_of
from domain.seat_non_bid import is_asked_for, seat_non_bids
from tests.domain.trading import bidder, guests_of, imp, market, request, sale_of

TWO_IMPS = request(imp(), imp(id="2"), site={})


def bid(bid_id: str, impid: str, price: float = 1, **members: Any) -> dict[str, Any]:
    return {"id": bid_id, "impid": impid, "price": price, "adm": "<b>ad</b>", **members}


def seat(*bids: dict[str, Any], group: int = 0) -> dict[str, Any]:
    return {"seat": "s1", "group": group, "bid": bids}


def outcomes(*seats: dict[str, Any], body: bytes = TWO_IMPS, **terms: Any) -> dict[str, Outcome]:
    catalogue = market(bidders=[bidder("alfa", **terms)])
    [invitation] = guests_of(body, catalogue).invitations
    return answered(seats, body, invitation)


def answered(seats: tuple[dict[str, Any], ...], body: bytes, invitation: Invitation) -> dict[str, Outcome]:
    answer = msgspec.json.encode({"id": "r", "bidid": "answer-1", "seatbid": seats})
    return outcomes_of(parse_response(answer), sale_of(body, market()), invitation)


def told(outcome: Outcome) -> tuple[str, int | None, str]:
    """Status, code and the bid it is about."""
    if isinstance(outcome, Placed):
        return "placed", None, outcome.bid.bid.id
    return outcome.status, outcome.code, outcome.bid_id or ""


def test_a_group_stands_together() -> None:
    """Its bids compete, under one number; others of the same answer under none, or another one."""
    found = outcomes(seat(bid("a", "1")), seat(bid("b", "1", 2), bid("c", "2"), group=1))
    assert [told(each) for each in found.values()] == [("placed", None, "b"), ("placed", None, "c")]
    groups = {each.group for each in found.values() if isinstance(each, Placed)}
    assert len(groups) == 1
    assert None not in groups


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ((bid("a", "1"), bid("b", "2", 0)), "'b' is refused: The price is 0"),
        ((bid("a", "1"), bid("b", "nowhere")), "'b' is refused: The request has no imp"),
        ((bid("a", "1"), {"id": "b", "impid": "2", "price": -1}), "'b' is refused: seatbid[1].bid[1].price"),
        ((bid("a", "1"), bid("b", "1")), "two of them are for the imp '1'"),
        ((bid("a", "1"), bid("b", "2", 0.5)), "a better one, 'other', for the imp '2'"),
    ],
    ids=["a refused bid", "an imp that is not there", "a bid that cannot be read", "two for one imp", "not the best"],
)
def test_a_group_that_cannot_win_is_refused_as_a_whole(broken: tuple[dict[str, Any], ...], words: str) -> None:
    """The good bid of it as well, saying what is wrong; the other seat's bid is not concerned."""
    found = outcomes(seat(bid("other", "2", 0.7)), seat(*broken, group=1))
    first = found["1"]
    assert isinstance(first, Missed)
    assert (first.status, first.code, first.bid_id) == ("refused", 3, "a")
    assert "group 1" in first.reason
    assert words in first.reason
    assert told(found["2"]) == ("placed", None, "other")


def test_of_two_groups_in_each_others_way_the_cheaper_is_refused() -> None:
    """Each has one better bid than the other; the one with the higher total stays."""
    found = outcomes(
        seat(bid("a", "1", 3), bid("b", "2", 1), group=1), seat(bid("c", "1", 1), bid("d", "2", 2), group=1)
    )
    assert [told(each) for each in found.values()] == [("placed", None, "a"), ("placed", None, "b")]
    assert all(each.others[0].code == 3 for each in found.values() if isinstance(each, Placed))


def test_an_answer_of_groups_costs_little() -> None:
    """As many as are read, all for one imp: only the best one stays."""
    seats = [seat(bid(str(number), "1", 1 + number / 1000), group=1) for number in range(BIDS_PER_RESPONSE_MAX)]
    started = process_time()
    placed = outcomes(*seats)["1"]
    assert process_time() - started < 0.2
    assert told(placed) == ("placed", None, str(BIDS_PER_RESPONSE_MAX - 1))
    assert {each.code for each in placed.others if isinstance(placed, Placed)} == {3}


BOMBS: dict[str, dict[str, Any]] = {
    "adm": {"adm": "${AUCTION_AD_ID}" * 400, "adid": "a" * 256},
    "nurl": {"nurl": "https://n.example/?" + "${AUCTION_AD_ID}" * 400, "adid": "a" * 256},
    "burl": {"burl": "https://b.example/?" + "${AUCTION_SEAT_ID:B64}" * 200, "adid": "é" * 256},
    "lurl": {"lurl": "https://l.example/?" + "${AUCTION_ID}" * 600},
}


@pytest.mark.parametrize("field", BOMBS)
def test_macros_do_not_make_a_bid_grow_without_bound(field: str) -> None:
    """It is refused before it could win, and nobody is told of it at its addresses; the bid beside it competes."""
    bomb: dict[str, Any] = {"lurl": "https://l.example/", **BOMBS[field]}
    found = outcomes(seat(bid("a", "1", 2, **bomb), bid("b", "2")))
    refused = found["1"]
    assert isinstance(refused, Missed)
    assert told(refused) == ("refused", 3, "a")
    assert f"macros in {field} " in refused.reason
    assert refused.bid is None
    assert told(found["2"]) == ("placed", None, "b")


def test_click_addresses_do_not_make_a_markup_grow_without_bound() -> None:
    """Each is longer than its macro; a page full of links has room for some dozens."""
    for clicks, status in ((64, "placed"), (65, "refused")):
        found = outcomes(seat(bid("a", "1", adm="${GAVEL_CLICK_URL}" * clicks)))
        assert told(found["1"])[0] == status


def test_as_many_macros_as_people_write_are_filled() -> None:
    """A hundred trackers of three macros each, and ids of the usual length."""
    adm = "<b>ad</b>" + "https://t.example/?${AUCTION_ID}&${AUCTION_PRICE}&${AUCTION_AD_ID}" * 100
    placed = outcomes(seat(bid("a", "1", adm=adm, adid="4c6a1a5e-41b2-4bd5-a7a2-3d9c39a4e33c")))["1"]
    assert told(placed) == ("placed", None, "a")


def test_an_event_has_room_for_all_that_it_says_of_further_bids() -> None:
    """What does not fit loses its notices, then its place, and is counted: the log would not take the event."""
    lurl = "https://l.example/" + "l" * 1_800
    bids = [bid(f"{number} ".ljust(250, "\x01"), "1", lurl=lurl) for number in range(BIDS_PER_RESPONSE_MAX)]
    placed = outcomes(seat(*bids))["1"]
    assert isinstance(placed, Placed)
    assert len(msgspec.json.encode(placed.others)) < OTHER_BIDS_MAX_BYTES + 1_024
    assert placed.others[0].notices is not None
    *_, silent, last = placed.others
    assert silent.notices is None
    assert silent.reason.endswith("no room for its notices.")
    left_out = BIDS_PER_RESPONSE_MAX - 1 - (len(placed.others) - 1)
    assert last.reason.startswith(f"{left_out} further bids for the imp are left out")


def test_a_group_of_more_bids_than_are_read_does_not_win() -> None:
    """A part of it would be missing."""
    before = seat(*(bid(str(number), "2", 9) for number in range(BIDS_PER_RESPONSE_MAX - 1)))
    cut = [bid("a", "1"), bid("b", "2", 10)]
    assert told(outcomes(before, seat(*cut, group=1))["1"]) == ("refused", 3, "a")
    assert told(outcomes(before, seat(*cut))["1"]) == ("placed", None, "a")


def test_where_a_bidder_wants_to_hear() -> None:
    """All addresses with what only the answer says; an address that serves the markup is not for the notifier."""
    body = request(imp(qty={"multiplier": 2.5}), site={})
    urls: dict[str, Any] = {"nurl": "https://n.example/", "burl": "https://b.example/", "lurl": "https://l.example/"}
    for markup, nurl in (("<b>ad</b>", urls["nurl"]), (None, None)):
        placed = outcomes(seat(bid("a", "1", adm=markup, adid="ad-1", **urls)), body=body)["1"]
        assert isinstance(placed, Placed)
        notices = notices_of(placed.bid, sale_of(body, market()), placed.response_bid_id)
        assert notices is not None
        assert (notices.nurl, notices.burl, notices.lurl) == (nurl, urls["burl"], urls["lurl"])
        assert (notices.response_bid_id, notices.ad_id, notices.multiplier) == ("answer-1", "ad-1", 2.5)


def test_a_bid_beside_the_best_one_hears_of_it_too() -> None:
    """It keeps its seat and its own loss address."""
    placed = outcomes(seat(bid("a", "1", 2), bid("b", "1", 1, lurl="https://l.example/")))["1"]
    assert isinstance(placed, Placed)
    [other] = placed.others
    assert (other.bid_id, other.code, other.seat) == ("b", 102, "s1")
    assert other.notices is not None
    assert other.notices.lurl == "https://l.example/"


@pytest.mark.parametrize(("price", "told_micros"), [(2, 1_100_000), (0.1, 1_000_000)])
def test_a_bid_beside_another_is_priced_in_the_same_currency(price: float, told_micros: int) -> None:
    """1.00 EUR at 1.10 beside a bid that competes in dollars; as stated beside one that is refused in euros."""
    catalogue = market(bidders=[bidder()], rates={"EUR/USD": "1.10"})
    body = request(imp(bidfloor=2), site={})
    [invitation] = guests_of(body, catalogue).invitations
    answer = {"id": "r", "cur": "EUR", "seatbid": [seat(bid("a", "1", price), bid("b", "1", 1))]}
    sale = sale_of(body, catalogue)
    found = outcomes_of(parse_response(msgspec.json.encode(answer)), sale, invitation)["1"]
    [other] = found.others
    assert (other.bid_id, other.price_micros) == ("b", told_micros)


@pytest.mark.parametrize(
    ("ext", "is_asked"),
    [
        ({"returnallbidstatus": True}, True),
        ({"prebid": {"returnallbidstatus": True}}, True),
        ({"prebid": {"returnallbidstatus": False}}, False),
        ({"returnallbidstatus": "yes", "prebid": []}, False),
        ({"note": "returnallbidstatus"}, False),
        (["returnallbidstatus"], False),
        ("returnallbidstatus", False),
        ({}, False),
    ],
)
def test_who_asks_for_the_status_of_all(ext: Any, is_asked: bool) -> None:
    """In either of the two places, and `true` only."""
    assert is_asked_for(sale_of(request(site={}, ext=ext), market()).request) is is_asked


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        ({"price": 0.5}, 301),
        ({"dealid": "d", "price": 0.5}, 304),
        ({"w": 1, "h": 1}, 351),
        ({"adm": '<img src="http://i.example/">'}, 352),
        ({"mtype": 2}, 353),
        ({"adomain": ["rival.example"]}, 356),
        ({"cat": ["IAB25"]}, 357),
        ({"attr": [13]}, 350),
        ({"adm": ""}, 350),
        ({"adomain": ["rival"]}, 350),
        ({"dealid": "unknown"}, 300),
        ({"bundle": 1}, 102),
    ],
)
def test_loss_reasons_have_other_numbers_there(refused: dict[str, Any], status: int) -> None:
    """A refused bid under its seat, an imp without a bid under the bidder's name, and no price anywhere."""
    deal = {"id": "d", "bidfloor": 0.8}
    banner = {"w": 300, "h": 250, "battr": [13]}
    first = imp(banner=banner, secure=1, bidfloor=0.9, pmp={"deals": [deal]})
    body = request(first, imp(id="2"), site={}, badv=["rival.example"], bcat=["IAB25"])
    found = outcomes(seat(bid("a", "1", **{"price": 1, **refused})), body=body)
    listed = seat_non_bids([(bidder("alfa"), found)])
    seat_of_bid = "alfa" if "bundle" in refused else "s1"
    assert {"impid": "1", "statuscode": status} in next(each for each in listed if each["seat"] == seat_of_bid)[
        "nonbid"
    ]
    assert {"impid": "2", "statuscode": 0} in next(each for each in listed if each["seat"] == "alfa")["nonbid"]


def test_a_bidder_of_one_seat_goes_by_that() -> None:
    """And a bid in the ranking is not listed."""
    found = outcomes(seat(bid("a", "1")), seats=("s1",))
    assert seat_non_bids([(bidder("alfa", seats=("s1",)), found)]) == [
        {"seat": "s1", "nonbid": [{"impid": "2", "statuscode": 0}]}
    ]
