"""The circuit breaker: what a bidder that fails loses, and how it comes back."""

from __future__ import annotations

import pytest

from commands.bidder_health import BidderHealth
from gavel.process_clock import fresh_id

AUCTIONS = [f"0199{number:032x}" for number in range(4_000)]


def after(*calls: tuple[int, bool]) -> BidderHealth:
    """Health after so many calls each that failed or did not."""
    health = BidderHealth()
    for count, failed in calls:
        for _ in range(count):
            health.called("b", failed=failed)
    return health


def share_spared(health: BidderHealth, bidder_id: str = "b") -> float:
    return sum(health.reason_to_spare(bidder_id, auction) is not None for auction in AUCTIONS) / len(AUCTIONS)


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        pytest.param(after(), 0, id="never called"),
        pytest.param(after((1_000, False)), 0, id="never failed"),
        pytest.param(after((20, True)), 0, id="a bad moment: 1 - 0.99^20 = 18 %"),
        # 1 - 0.99^69 = 0.500, and 0.9 * (0.5 - 0.2) / 0.8 = 0.338
        pytest.param(after((69, True)), 0.338, id="half of them fail"),
        pytest.param(after((2_000, True)), 0.9, id="all of them fail"),
        # 0.5 * 0.99^92 = 0.198
        pytest.param(after((69, True), (92, False)), 0, id="recovered"),
    ],
)
def test_how_many_auctions_pass_a_bidder_over(health: BidderHealth, expected: float) -> None:
    """Nothing up to a fifth of failures, then more in proportion, and never all."""
    assert share_spared(health) == pytest.approx(expected, abs=0.03)


def test_others_do_not_pay_for_it() -> None:
    """One bidder's failures are its own."""
    assert share_spared(after((2_000, True)), "other") == 0


def test_a_recovered_bidder_is_let_back_in_by_the_traffic_that_still_reaches_it() -> None:
    """From nine in ten passed over to none, within 2,000 auctions and not at once."""
    health = after((2_000, True))
    asked = []
    for _ in range(2_000):
        is_asked = health.reason_to_spare("b", fresh_id()) is None
        asked.append(is_asked)
        if is_asked:
            health.called("b", failed=False)
    assert sum(asked[:100]) < 60
    assert all(asked[-500:])


def test_the_same_auction_is_decided_the_same_way() -> None:
    """Given the same experience, an auction's id alone decides; the reason says how bad it is."""
    one, other = after((2_000, True)), after((2_000, True))
    assert [one.reason_to_spare("b", each) for each in AUCTIONS] == [
        other.reason_to_spare("b", each) for each in AUCTIONS
    ]
    skip = next(filter(None, (one.reason_to_spare("b", each) for each in AUCTIONS)))
    assert skip == (
        203,
        "Not asked: of the bidder's last calls 100% failed, so 90% of the auctions pass it over.",
    )
