"""What a feed client may be called, and what its loads must keep to."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue import FeedClient
from domain.errors import InvalidInput
from domain.terms.feed_client import FEED_CLIENT, feed_client_id


def stated(**fields: Any) -> FeedClient:
    return FEED_CLIENT.registration(msgspec.json.encode({"name": "data-co"} | fields)).terms


def faulty(**fields: Any) -> set[str]:
    """Paths of the faults."""
    with pytest.raises(InvalidInput) as refused:
        stated(**fields)
    return {fault.path for fault in refused.value.faults}


def test_a_load_need_not_keep_to_anything() -> None:
    """Records stay, and a load may bring any number of them."""
    assert stated() == FeedClient(name="data-co")


def test_everything_is_stated() -> None:
    """And is shown as it was stated."""
    terms = {
        "name": "data-co",
        "ttl_seconds": 3_600,
        "allowed_shrinkage_percent": 0,
        "minimum_records": 0,
        "unreadable_percent": 100,
    }
    assert FEED_CLIENT.as_stated(stated(**terms)) == terms


@pytest.mark.parametrize("name", ["a", "data-co", "Data & Co. (Berlin)", "Düren", "a" * 64, "...", "{id}", "50%"])
def test_a_name(name: str) -> None:
    """It may be whatever can be one part of an address."""
    assert stated(name=name).name == name


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "a/b", "/", ".", "..", "a\n", "a\0b", "a\x7f", "a" * 65, 7])
def test_what_is_no_name(name: Any) -> None:
    """A slash would end its part of the address, dots would lead elsewhere, and blanks at its ends nobody sees."""
    assert faulty(name=name) == {"name"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ttl_seconds", 0),
        ("ttl_seconds", 10 * 365 * 86_400 + 1),
        ("allowed_shrinkage_percent", -1),
        ("allowed_shrinkage_percent", 101),
        ("unreadable_percent", 101),
        ("unreadable_percent", 0.5),
        ("minimum_records", -1),
        ("minimum_records", "many"),
        ("records", 1),
    ],
)
def test_a_bound_that_is_none(field: str, value: Any) -> None:
    """Each is refused at its field."""
    assert faulty(**{field: value}) == {field}


def test_the_id_follows_from_the_name() -> None:
    """It is the same for ever, in every process: records in the log are under it."""
    assert FEED_CLIENT.registration(b'{"name":"data-co"}').id == feed_client_id("data-co")
    assert feed_client_id("data-co") == "b0ff212d-4b04-55b5-b112-e4472530f4b2"


@given(st.text(), st.text())
def test_no_two_names_have_one_id(one: str, other: str) -> None:
    """An id is a UUID, whatever the name is made of."""
    assert (feed_client_id(one) == feed_client_id(other)) == (one == other)
    assert UUID(feed_client_id(one)).version == 5


def test_the_owner_chooses_no_id() -> None:
    """It is refused like any field that there is not."""
    assert faulty(id="mine") == {"id"}
