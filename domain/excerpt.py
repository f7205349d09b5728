"""Excerpts of events: what one reader needs of them, so that the rest of their JSON is passed over unread.

To skip a member costs a decoder a half of what it costs to make an object of it. An excerpt bears the tag of its
event and names some of its fields as they stand there; an instant or a part may be taken as it is written, as text or
as `msgspec.Raw`, and be understood once for all events that have the same.
"""

from __future__ import annotations

import msgspec


class Excerpt(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """What all have in common. The tag is given by each class of them: `tag="bid_placed"`."""

    v: int = 1
    """As of the event: an excerpt of an old version is made of the event that was raised to the newest one."""
