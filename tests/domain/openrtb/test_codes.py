"""The IAB's lists: complete, and readable."""

from __future__ import annotations

import pytest

from domain.openrtb.codes import Code, LossReason, NoBidReason, NonBidStatus

OF_OUR_OWN = 500
PUBLISHED = {
    NoBidReason: {*range(18)},
    LossReason: {*range(11), *range(100, 105), *range(200, 216)},
    NonBidStatus: {0, *range(100, 104), *range(200, 205), *range(300, 305), *range(350, 358)},
}


@pytest.mark.parametrize("codes", PUBLISHED)
def test_every_published_code_is_there(codes: type[Code]) -> None:
    """Neither more nor fewer codes than the lists have, but for those that they leave to an exchange."""
    assert {code.value for code in codes if code < OF_OUR_OWN} == PUBLISHED[codes]


@pytest.mark.parametrize("codes", PUBLISHED)
def test_every_code_has_a_sentence_of_its_own(codes: type[Code]) -> None:
    """Nobody has to look a number up."""
    sentences = [code.sentence for code in codes]
    assert all(sentences)
    assert len(set(sentences)) == len(sentences)


def test_a_code_is_its_number() -> None:
    """Codes go into events and JSON as the numbers they are."""
    assert LossReason.LOST_TO_HIGHER_BID == 102
    assert f"{LossReason.BELOW_FLOOR:d}" == "100"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (0, "The bidder gave no reason"),
        (17, "Blocked seller in the supply chain"),
        (600, "Reason 600 of the other side's own"),
    ],
)
def test_a_code_from_outside(code: int, sentence: str) -> None:
    """A bidder may send any number."""
    assert NoBidReason.describe(code) == sentence
