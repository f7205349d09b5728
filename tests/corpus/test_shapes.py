"""No event changes its shape unnoticed: what the log may hold of each version is kept beside its example."""

from __future__ import annotations

import msgspec
import pytest
from jsonschema import Draft202012Validator

from domain import codec
from domain.events import AuctionUnsold, BidRequested, Event, ImpressionRecorded
from tests.corpus import shapes
from tests.corpus.test_corpus import FILES, payload_of, tag_and_version

WRITE = "`python -m tests.corpus.shapes` writes it down, if it is an addition; see docs/EVOLUTION.md if it is not"


def test_every_version_has_its_shape() -> None:
    """Beside each example of the corpus stands the shape it was written in, and no other."""
    assert {path.stem for path in shapes.FOLDER.glob("*.json")} == set(FILES)


@pytest.mark.parametrize("tag", codec.EVENT_TYPES)
def test_a_shape_does_not_change_unnoticed(tag: str) -> None:
    """What a version's events look like is what was written down of it: all else is a new version."""
    version = codec.newest_version(tag)
    kept, present = shapes.kept_shape(tag, version), shapes.shape_of(codec.EVENT_TYPES[tag])
    broken = shapes.breaks(kept, present)
    assert not broken, f"{tag} needs version {version + 1} and an upcaster: {broken}"
    assert kept == present, f"{tag} has changed: {WRITE}"


@pytest.mark.parametrize("name", FILES)
def test_an_example_has_the_shape_of_its_version(name: str) -> None:
    """What is written down is true: the example, never changed since it was written, is of that shape."""
    validator = Draft202012Validator(shapes.kept_shape(*tag_and_version(name)))
    assert [each.message for each in validator.iter_errors(msgspec.json.decode(payload_of(name)))] == []


def shape_with(fields: list[tuple[str, type] | tuple[str, type, object]], base: type[Event]) -> shapes.Schema:
    """Of a type that is as `base`, with some of its fields declared anew."""
    changed = msgspec.defstruct(base.__name__, fields, bases=(base,), kw_only=True, frozen=True)
    return shapes.shape_of(changed)


UNSOLD = shapes.shape_of(AuctionUnsold)


@pytest.mark.parametrize(
    "field",
    [("colour", str, ""), ("colour", int | None, None), ("withdrawn", tuple[str, ...] | None, ()), ("held_ms", float)],
)
def test_an_addition_breaks_nothing(field: tuple[str, type, object]) -> None:
    """A field with a default, or a kind more of what one may be: all that was written reads as before."""
    assert shapes.breaks(UNSOLD, shape_with([field], AuctionUnsold)) == []


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        (("colour", str), ".colour: is required now"),
        (("test", bool), ".test: is required now"),
        (("test", bool, True), ".test: what its absence means has changed"),
        (("held_ms", int), ".held_ms: was number, is integer"),
        (("reason", bytes), ".reason: was {'type': 'string'}, is"),
        (("withdrawn", tuple[int, ...], ()), ".withdrawn[]: was string, is integer"),
    ],
)
def test_a_break_is_named(field: tuple[str, type], complaint: str) -> None:
    """What does not read as it was written is found, and said where."""
    broken = shapes.breaks(UNSOLD, shape_with([field], AuctionUnsold))
    assert any(each.startswith(complaint) for each in broken), broken


def test_a_field_that_is_gone() -> None:
    """A field that is taken away, or renamed, is a break: also one that nobody had to state, also deep inside."""
    older = shapes.shape_of(BidRequested)
    younger = msgspec.json.decode(msgspec.json.encode(older).replace(b'"site":', b'"web_site":'))
    assert shapes.breaks(older, younger) == [".imps[].inventory.site: is gone"]


def test_a_word_that_is_gone() -> None:
    """A word that events may hold stays readable for ever; a new one is an addition."""
    older = shapes.shape_of(ImpressionRecorded)
    fewer = msgspec.json.decode(msgspec.json.encode(older).replace(b'"rate_limited",', b""))
    assert shapes.breaks(older, fewer) == [".verdict: 'rate_limited' is gone"]
    assert shapes.breaks(fewer, older) == []


@pytest.mark.parametrize(("before", "now"), [(dict[str, int], dict[str, str]), (dict[str, int], dict[str, float])])
def test_another_kind_of_values(before: type, now: type) -> None:
    """What stands under names that nobody has declared may change as little as anything else."""
    older, younger = (shape_with([("counts", kind)], AuctionUnsold) for kind in (before, now))
    assert shapes.breaks(older, older) == []
    assert [each.partition(":")[0] for each in shapes.breaks(older, younger)] == [".counts{}"]
