"""An ad, as `/v1/ads` takes and shows it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from domain import catalogue
from domain.terms.creative import LOOKS, Creative
from domain.terms.fields import EntityId, Text
from domain.terms.form import Form, Reference


class Ad(Creative, frozen=True, kw_only=True):
    """An ad of a campaign, of one size: either `html`, or `image_url`, a picture that leads to the landing page."""

    campaign_id: EntityId
    name: Text


def _to_terms(stated: Ad) -> catalogue.Ad:
    return catalogue.Ad(**msgspec.structs.asdict(stated))


def _to_stated(terms: catalogue.Ad) -> Ad:
    return Ad(**msgspec.structs.asdict(terms))


def _references(terms: catalogue.Ad) -> Iterator[Reference]:
    yield Reference("campaign_id", "campaign", terms.campaign_id)


AD = Form(
    kind="ad",
    stated=Ad,
    terms=catalogue.Ad,
    to_terms=_to_terms,
    to_stated=_to_stated,
    references=_references,
    one_of=LOOKS,
)
