"""A feed client, as `/v1/feed-clients` takes and shows it."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID, uuid5

import msgspec

from domain import catalogue
from domain.limits import FEED_NAME_MAX_CHARS, FEED_TTL_MAX_SECONDS
from domain.terms.form import Form

_NAMES: Final = UUID("6d1b3c1e-4a0e-5f0b-9d0c-0f7a8c1f2e55")
"""Of this kind of names; it only has to be another one than anybody else's."""

FeedName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=FEED_NAME_MAX_CHARS,
        # Its end in the form that JSON Schema's readers share: Python's `$` would let a line break by.
        pattern=r"^(?!\.{1,2}$)[^\s\x00-\x1f\x7f/]([^\x00-\x1f\x7f/]*[^\s\x00-\x1f\x7f/])?(?![\s\S])",
        description="A part of its addresses, and so of no other feed client, ever; it cannot change.",
    ),
]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]


class FeedClient(msgspec.Struct, frozen=True, kw_only=True):
    """Who provides records, audiences for example, and what its loads must keep to."""

    name: FeedName
    ttl_seconds: Annotated[int, msgspec.Meta(ge=1, le=FEED_TTL_MAX_SECONDS)] | None = None
    allowed_shrinkage_percent: Percent | None = None
    minimum_records: Annotated[int, msgspec.Meta(ge=0)] | None = None
    unreadable_percent: (
        Annotated[
            Percent,
            msgspec.Meta(
                description=(
                    "A load with more lines that are no records fails. What one that merges has brought by then stays."
                )
            ),
        ]
        | None
    ) = None


def feed_client_id(name: str) -> str:
    """The id of the feed client of that name.

    It follows from the name, so that the log lets nobody take a name twice, however many ask at once.
    """
    return str(uuid5(_NAMES, name))


def _to_terms(stated: FeedClient) -> catalogue.FeedClient:
    return catalogue.FeedClient(**msgspec.structs.asdict(stated))


def _to_stated(terms: catalogue.FeedClient) -> FeedClient:
    return FeedClient(**msgspec.structs.asdict(terms))


def _id_of(terms: catalogue.FeedClient) -> str:
    return feed_client_id(terms.name)


FEED_CLIENT = Form(
    kind="feed_client",
    stated=FeedClient,
    terms=catalogue.FeedClient,
    to_terms=_to_terms,
    to_stated=_to_stated,
    id_of=_id_of,
)
