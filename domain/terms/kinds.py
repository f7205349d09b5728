"""The forms of all kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.entity import EntityKind
from domain.terms.access_key import ACCESS_KEY
from domain.terms.ad import AD
from domain.terms.advertiser import ADVERTISER
from domain.terms.bidder import bidder_form
from domain.terms.campaign import CAMPAIGN
from domain.terms.currency_rate import CURRENCY_RATE
from domain.terms.deal import DEAL
from domain.terms.feed_client import FEED_CLIENT
from domain.terms.form import Form
from domain.terms.placement import PLACEMENT
from domain.terms.publisher import PUBLISHER

Forms = Mapping[EntityKind, Form[Any, Any]]


def all_forms(*, allow_private: bool) -> Forms:
    """By kind; `allow_private` lets bidders' endpoints be on private addresses."""
    forms: tuple[Form[Any, Any], ...] = (
        PUBLISHER,
        PLACEMENT,
        bidder_form(allow_private=allow_private),
        DEAL,
        CURRENCY_RATE,
        ADVERTISER,
        CAMPAIGN,
        AD,
        FEED_CLIENT,
        ACCESS_KEY,
    )
    return {form.kind: form for form in forms}
