"""An access key, as `/v1/access-keys` takes and shows it: all of it but the key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from domain import catalogue
from domain.entity import EntityKind
from domain.errors import Fault
from domain.terms.fields import EntityId, Text
from domain.terms.form import Form, Reference

SUBJECT_OF: Mapping[catalogue.Role, EntityKind] = {
    "publisher": "publisher",
    "advertiser": "advertiser",
    "feed_client": "feed_client",
}
"""What kind of entity a key of the role acts for; an admin acts for the exchange."""


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """Lets somebody in: an admin everywhere, others to what is theirs."""

    name: Text
    role: catalogue.Role
    subject_id: EntityId | None = None


def _to_terms(stated: AccessKey) -> catalogue.AccessKey:
    # The digest is not the owner's to state: `ChangeCatalogue.issue_key` puts it in.
    return catalogue.AccessKey(name=stated.name, role=stated.role, subject_id=stated.subject_id, digest="")


def _to_stated(terms: catalogue.AccessKey) -> AccessKey:
    return AccessKey(name=terms.name, role=terms.role, subject_id=terms.subject_id)


def _references(terms: catalogue.AccessKey) -> Iterator[Reference]:
    if terms.subject_id is not None:
        yield Reference("subject_id", SUBJECT_OF[terms.role], terms.subject_id)


def _rules(given: Mapping[str, Any]) -> Iterator[Fault]:
    if given.get("role") == "admin" and "subject_id" in given:
        yield Fault("subject_id", "belongs to no admin: an admin's key reaches everything")
    subject = SUBJECT_OF.get(given.get("role", "admin"))
    if subject is not None and "subject_id" not in given:
        yield Fault("subject_id", f"has to be the id of the {subject.replace('_', ' ')} that it is a key of")


ACCESS_KEY = Form(
    kind="access_key",
    stated=AccessKey,
    terms=catalogue.AccessKey,
    to_terms=_to_terms,
    to_stated=_to_stated,
    references=_references,
    rules=_rules,
)
