"""An advertiser, as `/v1/advertisers` takes and shows it."""

from __future__ import annotations

import msgspec

from domain import catalogue
from domain.terms.fields import Domain, Text
from domain.terms.form import Form


class Advertiser(msgspec.Struct, frozen=True, kw_only=True):
    """Who has ads shown, and pays for it."""

    name: Text
    domain: Domain


def _to_terms(stated: Advertiser) -> catalogue.Advertiser:
    return catalogue.Advertiser(name=stated.name, domain=stated.domain)


def _to_stated(terms: catalogue.Advertiser) -> Advertiser:
    return Advertiser(name=terms.name, domain=terms.domain)


ADVERTISER = Form(
    kind="advertiser",
    stated=Advertiser,
    terms=catalogue.Advertiser,
    to_terms=_to_terms,
    to_stated=_to_stated,
)
