"""A load is published unless its figures break what its client's terms say."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from domain.catalogue import FeedClient
from domain.feeds.runs import Run, objection

REPLACING = Run(7, "replace", "loading", 100, 0, 100, 0, 101, "")
MERGING = replace(REPLACING, mode="merge")


def terms(**some: int) -> FeedClient:
    return FeedClient(name="provider", **some)


@pytest.mark.parametrize(
    ("run", "client", "before", "word"),
    [
        (REPLACING, terms(), 1_000_000, None),
        (replace(REPLACING, duplicates=1), terms(), 0, "key"),
        (replace(MERGING, duplicates=1), terms(), 0, None),
        (REPLACING, terms(minimum_records=100), 0, None),
        (REPLACING, terms(minimum_records=101), 0, "at least 101"),
        (MERGING, terms(minimum_records=101), 0, None),
        (REPLACING, terms(allowed_shrinkage_percent=0), 0, None),
        (REPLACING, terms(allowed_shrinkage_percent=0), 100, None),
        (REPLACING, terms(allowed_shrinkage_percent=0), 101, "lost"),
        (REPLACING, terms(allowed_shrinkage_percent=50), 200, None),
        (REPLACING, terms(allowed_shrinkage_percent=50), 201, "lost"),
        (MERGING, terms(allowed_shrinkage_percent=0), 201, None),
        (replace(MERGING, rejected=25), terms(unreadable_percent=20), 0, None),
        (replace(MERGING, rejected=26), terms(unreadable_percent=20), 0, "What was merged stays"),
        (replace(REPLACING, rejected=1), terms(unreadable_percent=0), 0, "refused"),
        (replace(REPLACING, received=0, loaded=0), terms(unreadable_percent=0), 0, "no record"),
        (replace(REPLACING, received=0, loaded=0), terms(minimum_records=0), 1_000, None),
        (replace(MERGING, received=0, loaded=0), terms(), 0, None),
        (replace(REPLACING, rejected=1), terms(), 0, "would be missing"),
        (replace(REPLACING, rejected=1), terms(unreadable_percent=1), 0, None),
        (replace(MERGING, rejected=1), terms(), 0, None),
        (replace(REPLACING, loaded=99), terms(), 0, "could not be applied"),
        (replace(REPLACING, loaded=99), terms(unreadable_percent=1), 0, None),
        (replace(REPLACING, loaded=98), terms(unreadable_percent=1), 0, "refused"),
        (replace(MERGING, loaded=99), terms(), 0, None),
        (replace(MERGING, loaded=99), terms(unreadable_percent=0), 0, "refused"),
    ],
)
def test_validators(run: Run, client: FeedClient, before: int, word: str | None) -> None:
    """Each validator lets its very bound pass and refuses one more; those of replacing leave a merge alone."""
    reason = objection(run, client, records_before=before)
    assert (reason is None) == (word is None)
    assert word is None or word in str(reason)


@pytest.mark.parametrize(
    ("run", "is_decidable"),
    [
        (REPLACING, True),
        (replace(REPLACING, loaded=99), True),
        (replace(REPLACING, status="receiving"), False),
        (replace(REPLACING, status="superseded"), False),
        (replace(REPLACING, status="published"), False),
    ],
)
def test_what_may_be_decided(run: Run, is_decidable: bool) -> None:
    """A load that was met to its end, records that could not be applied included, and is not decided yet."""
    assert run.is_decidable == is_decidable


def test_as_redis_keeps_it() -> None:
    """The array that the consumer's scripts write is a run."""
    text = b'[7,"replace","loading",100,0,100,0,101,""]'
    assert msgspec.json.decode(text, type=Run) == REPLACING
