"""Who may use which route of `/v1`: the whole table in one place.

What somebody sees behind a route is another question: a tenant meets only what is its own
(docs/decisions/0018-access-keys.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from api.catalogue_entity import COLLECTIONS
from domain.catalogue import Role
from domain.entity import EntityKind

Roles = frozenset[Role]

OPERATOR: Final[Roles] = frozenset({"admin"})
SELLERS: Final[Roles] = frozenset({"admin", "publisher"})
BUYERS: Final[Roles] = frozenset({"admin", "advertiser"})
FEED_CLIENTS: Final[Roles] = frozenset({"admin", "feed_client"})
TENANTS: Final[Roles] = SELLERS | BUYERS
EVERYBODY: Final[Roles] = TENANTS | {"feed_client"}

_READERS: Final[Mapping[EntityKind, Roles]] = {
    "publisher": SELLERS,
    "placement": SELLERS,
    "advertiser": BUYERS,
    "campaign": BUYERS,
    "ad": BUYERS,
    "feed_client": FEED_CLIENTS,
    "currency_rate": EVERYBODY,
}
"""Of the catalogue; of a kind that is not here, the operator."""
_WRITERS: Final[Mapping[EntityKind, Roles]] = {"placement": SELLERS, "campaign": BUYERS, "ad": BUYERS}
"""A publisher's share and an advertiser's domain are the operator's to state, like all that is not here."""
_MOVES = ("pause", "resume", "archive")
_OF_PROJECTIONS = ("rebuild", "verify", "swap", "retire", "cancel", "pause", "resume")


def _catalogue_rules() -> dict[str, Roles]:
    rules: dict[str, Roles] = {}
    for collection in COLLECTIONS:
        path = f"/v1/{collection.path}"
        readers = _READERS.get(collection.kind, OPERATOR)
        writers = _WRITERS.get(collection.kind, OPERATOR)
        rules |= {f"GET {path}": readers, f"GET {path}/{{id}}": readers, f"POST {path}": writers}
        if collection.has_status and not collection.is_issued:
            rules |= {f"PATCH {path}/{{id}}": writers}
        if collection.has_status:
            rules |= {f"POST {path}/{{id}}/{move}": writers for move in _MOVES}
    return rules


RULES: Final[Mapping[str, Roles]] = {
    **_catalogue_rules(),
    "GET /v1/whoami": EVERYBODY,
    "GET /v1/campaigns/{id}/budget": BUYERS,
    "GET /v1/auctions": SELLERS,
    "GET /v1/auctions/{id}": SELLERS,
    "GET /v1/reports/delivery": TENANTS,
    "GET /v1/reports/bidders": OPERATOR,
    "GET /v1/reports/traffic": SELLERS,
    "GET /v1/reports/ledger": TENANTS,
    "POST /v1/auctions/{id}/void": OPERATOR,
    "POST /v1/ledger/days/{id}/close": OPERATOR,
    "GET /v1/projections": OPERATOR,
    **{f"POST /v1/projections/{{id}}/{command}": OPERATOR for command in _OF_PROJECTIONS},
    "GET /v1/dead-letters": OPERATOR,
    "GET /v1/dead-letters/{id}": OPERATOR,
    "POST /v1/dead-letters/retry": OPERATOR,
    "POST /v1/dead-letters/{id}/retry": OPERATOR,
    "POST /v1/dead-letters/{id}/skip": OPERATOR,
    "GET /v1/live": OPERATOR,
    "GET /v1/feeds": OPERATOR,
    "POST /v1/feeds/{id}/bulk": FEED_CLIENTS,
    "POST /v1/feeds/{id}/changes": FEED_CLIENTS,
    "GET /v1/feeds/{id}/runs/{id}": FEED_CLIENTS,
    "GET /v1/feeds/{id}/audit": FEED_CLIENTS,
    "GET /v1/feeds/{id}/records/{id}": FEED_CLIENTS,
    "POST /v1/feeds/{id}/records": FEED_CLIENTS,
}
"""By method and path; a route that is not here is for nobody but the operator, and fails a test."""

_PARAMETER = re.compile(r"{[^}]*}")


def roles_of(method: str, path: str) -> Roles:
    """Who may use the route; what its path's parameters are called makes no difference."""
    return RULES.get(rule_name(method, path), OPERATOR)


def rule_name(method: str, path: str) -> str:
    """How RULES names the route."""
    asked = "GET" if method == "HEAD" else method
    return f"{asked} {_PARAMETER.sub('{id}', path)}"
