"""What a projection reads of its events says the same as the events themselves."""

from __future__ import annotations

from typing import Any, get_type_hints

import msgspec
import pytest

from domain import codec
from domain.excerpt import Excerpt
from domain.names import Names
from projections.decoding import decoder_of
from projections.projection import ByExcerpt
from projections.registry import REGISTRY
from tests.corpus.test_corpus import CURRENT, payload_of, tag_and_version

PROJECTIONS = [each.projection(Names()) for each in REGISTRY]
EXCERPTS = [each for made in PROJECTIONS if isinstance(made, ByExcerpt) for each in made.excerpts]


def tag_of(excerpt: type[Excerpt]) -> str:
    return str(excerpt.__struct_config__.tag)


def test_there_is_one_for_every_event_that_is_taken() -> None:
    """No event is passed over because nobody wrote an excerpt of it."""
    for made in PROJECTIONS:
        if isinstance(made, ByExcerpt):
            taken = [codec.EVENT_TYPES[tag_of(each)] for each in made.excerpts]
            assert sorted(taken, key=repr) == sorted(made.events, key=repr)


@pytest.mark.parametrize("excerpt", EXCERPTS)
def test_a_field_is_one_of_the_event(excerpt: type[Excerpt]) -> None:
    """It has the event's name, is as optional there, and stands for the same where it is absent."""
    fields = {each.name: each for each in msgspec.structs.fields(codec.EVENT_TYPES[tag_of(excerpt)])}
    for field in msgspec.structs.fields(excerpt):
        if field.name != "v":
            whole = fields[field.name]
            assert (field.required, field.default) == (whole.required, whole.default), field.name


@pytest.mark.parametrize("name", CURRENT)
def test_an_excerpt_says_what_the_event_says(name: str) -> None:
    """Each event of the corpus, read both ways, has the same in the fields that both have."""
    for made in PROJECTIONS:
        if isinstance(made, ByExcerpt) and codec.EVENT_TYPES[tag_and_version(name)[0]] in made.events:
            read = decoder_of(made).decode(payload_of(name))
            assert agrees(read, codec.decode(payload_of(name)))


def agrees(read: Any, event: Any) -> bool:
    """Whether what was read is what the event says, as far as it was read, down to what is left as it was written."""
    if isinstance(read, msgspec.Struct):
        return all(agrees(getattr(read, name), getattr(event, name)) for name in get_type_hints(type(read)))
    if isinstance(read, tuple):
        return len(read) == len(event) and all(map(agrees, read, event))
    if isinstance(read, msgspec.Raw):
        return bool(msgspec.json.decode(read) == msgspec.json.decode(msgspec.json.encode(event)))
    return bool(read == event) or bool(msgspec.convert(read, type(event)) == event)
