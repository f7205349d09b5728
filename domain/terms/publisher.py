"""A publisher, as `/v1/publishers` takes and shows it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from domain import catalogue
from domain.terms.fields import BasisPoints, Domain, Many, Text
from domain.terms.floor_rule import FloorRule, repeated_rules, rules_to_stated, rules_to_terms
from domain.terms.form import Form

RULES_CURRENCY = "USD"


class Publisher(msgspec.Struct, frozen=True, kw_only=True):
    """Who sells ad spaces."""

    name: Text
    domain: Domain
    share_bps: BasisPoints
    floor_rules: Annotated[tuple[FloorRule, ...], Many] = ()


def _to_terms(stated: Publisher) -> catalogue.Publisher:
    return catalogue.Publisher(
        name=stated.name,
        domain=stated.domain,
        share_bps=stated.share_bps,
        floor_rules=rules_to_terms(stated.floor_rules, RULES_CURRENCY),
    )


def _to_stated(terms: catalogue.Publisher) -> Publisher:
    return Publisher(
        name=terms.name,
        domain=terms.domain,
        share_bps=terms.share_bps,
        floor_rules=rules_to_stated(terms.floor_rules),
    )


PUBLISHER = Form(
    kind="publisher",
    stated=Publisher,
    terms=catalogue.Publisher,
    to_terms=_to_terms,
    to_stated=_to_stated,
    rules=repeated_rules,
)
