"""Who may use `/v1`: whoever sends the admin key as `Authorization: Bearer KEY`."""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from api.problems import ProblemRaised

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler
    from litestar.types import Guard

CHALLENGE = 'Bearer realm="gavel"'


def admin_only(admin_key: str) -> Guard:
    """A guard that lets the admin key through; raises ProblemRaised (401) for a missing or wrong one."""
    expected = admin_key.encode()
    assert expected, "an empty key would let everyone in"

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        scheme, _, key = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise ProblemRaised("unauthorized", headers={"WWW-Authenticate": CHALLENGE})
        # Constant time: how long it takes tells nothing about how much of the key is right.
        if not compare_digest(key.strip().encode(), expected):
            raise ProblemRaised(
                "unauthorized",
                "the key is not valid",
                headers={"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'},
            )

    return guard
