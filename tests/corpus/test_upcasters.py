"""How an event of an old version is read: raised step by step, or a dead letter, and never half understood."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain import codec, events, upcasters
from domain.errors import UndecodableEvent, UnknownEvent
from domain.events import Event
from domain.upcasters import Chain, Fields
from tests.corpus.test_corpus import payload_of


def decoded(payload: bytes, chains: Mapping[str, Chain]) -> Event:
    """By a decoder that knows these chains."""
    event = codec.Decoder(codec.EVENT_TYPES.values(), chains).decode(payload)
    assert event is not None
    return event


def written(event: Event) -> dict[str, Any]:
    """As it would stand in the log."""
    fields = msgspec.json.decode(codec.encode(event))
    assert isinstance(fields, dict)
    return fields


def why_became_cause(fields: Fields) -> Fields:
    return {**fields, "cause": fields.pop("why")}


def cause_became_reason(fields: Fields) -> Fields:
    return {**fields, "reason": fields.pop("cause")}


def raised_by_hand(fields: Fields) -> Fields:
    return fields | {"causation_id": "raised"}


def test_every_file_is_a_chain() -> None:
    """A file of the room is named by the tag whose chain it holds, and none is forgotten."""
    files = {path.stem for path in Path(upcasters.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(upcasters.CHAINS)
    assert files <= set(codec.EVENT_TYPES)


@pytest.mark.parametrize("tag", codec.EVENT_TYPES)
def test_what_is_written_is_the_newest(tag: str) -> None:
    """An event that is made now says the version to which old ones are raised."""
    version = next(field for field in msgspec.structs.fields(codec.EVENT_TYPES[tag]) if field.name == "v")
    assert callable(version.default_factory)
    assert version.default_factory() == codec.newest_version(tag)


@pytest.mark.parametrize("tag", codec.EVENT_TYPES)
def test_an_old_version_is_raised(tag: str) -> None:
    """With one more version in force, an event of the newest is raised to it, whatever its fields are."""
    newest = codec.newest_version(tag)
    payload = payload_of(f"{tag}.v{newest}")
    expected = msgspec.json.decode(payload) | {"v": newest + 1, "causation_id": "raised"}
    chains = {**upcasters.CHAINS, tag: (*upcasters.CHAINS.get(tag, ()), raised_by_hand)}
    assert written(decoded(payload, chains)) == expected


def test_an_old_shape_is_raised_step_by_step() -> None:
    """Each upcaster lifts its own version by one; an event starts at the step of its age."""
    chains = {"auction_unsold": (why_became_cause, cause_became_reason)}
    present = msgspec.json.decode(payload_of("auction_unsold.v1"))
    reason = present.pop("reason")
    for version, field in ((1, "why"), (2, "cause"), (3, "reason")):
        event = decoded(msgspec.json.encode(present | {"v": version, field: reason}), chains)
        assert isinstance(event, events.AuctionUnsold)
        assert (event.reason, event.v) == (reason, 3)


def test_what_is_kept_as_it_came_stays_so() -> None:
    """Raising an event leaves a bid request in it byte for byte: its numbers too, which a float would round."""
    request = b'{"id":"r","ext":{"exact":2.50,"long":0.1234567890123456789012345}}'
    fields = msgspec.json.decode(payload_of("bid_requested.v1"))
    payload = msgspec.json.encode(fields | {"request": msgspec.Raw(request)})
    event = decoded(payload, {"bid_requested": (raised_by_hand,)})
    assert isinstance(event, events.BidRequested)
    assert (event.v, event.causation_id, bytes(event.request)) == (2, "raised", request)


@pytest.mark.parametrize("tag", ["impression_recorded", "click_recorded"])
def test_a_carried_event_is_raised_too(tag: str) -> None:
    """A void holds the engagement as it was logged, in the version of that day."""
    held = msgspec.json.decode(payload_of(f"{tag}.v1"))
    payload = msgspec.json.encode(msgspec.json.decode(payload_of("engagement_voided.v1")) | {"engagement": held})
    event = decoded(payload, {tag: (raised_by_hand,)})
    assert isinstance(event, events.EngagementVoided)
    assert event.engagement is not None
    assert (event.v, event.engagement.v, event.engagement.causation_id) == (1, 2, "raised")
    with pytest.raises(UnknownEvent, match=f"{tag} has no version 3"):
        decoded(payload.replace(b'"v":1', b'"v":3').replace(b'"v":3', b'"v":1', 1), {tag: (raised_by_hand,)})


@pytest.mark.parametrize(
    ("upcaster", "complaint"),
    [
        (lambda fields: fields | {"held_ms": "long"}, "raised from version 1"),
        (lambda fields: fields | {"held_ms": object()}, "raised from version 1"),
        (lambda fields: fields | {"reason": fields["never_there"]}, "KeyError"),
        (lambda fields: fields | {"held_ms": fields["reason"] / 2}, "TypeError"),
    ],
)
def test_an_old_event_that_cannot_be_raised(upcaster: upcasters.Upcaster, complaint: str) -> None:
    """Whatever an upcaster stumbles over, or makes of it, is a dead letter that says so."""
    with pytest.raises(UndecodableEvent, match=complaint):
        decoded(payload_of("auction_unsold.v1"), {"auction_unsold": (upcaster,)})
