"""The guard of `/v1`: who sends `Authorization: Bearer KEY`, and whether its role may use the route."""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from api.access_rules import roles_of
from api.problems import ProblemRaised
from domain.access import Caller, Tenant, digest_of

if TYPE_CHECKING:
    from litestar import Request
    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler
    from litestar.types import Guard

    from commands.access_keys import AccessKeys

CHALLENGE = 'Bearer realm="gavel"'
OPERATOR = Caller(key_id=None, name="the operator", role="admin", subject_id=None)


def key_holders(admin_key: str, keys: AccessKeys) -> Guard:
    """A guard that lets the admin key and the catalogue's active keys through, each as far as its role reaches.

    Raises ProblemRaised: 401 for a missing or wrong key, 403 for a route that is not for its role, 503 for an unknown
    key while the keys themselves are not known.
    """
    assert admin_key, "an empty key would let everyone in"
    admin_digest = digest_of(admin_key)

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        digest = digest_of(_sent_key(connection))
        # Constant time, and of digests: how long it takes tells nothing about how much of the key is right.
        caller = OPERATOR if compare_digest(digest, admin_digest) else keys.holder(digest)
        if caller is None:
            raise _unknown(keys)
        method = str(connection.scope.get("method", "GET"))
        if caller.role not in roles_of(method, connection.scope["path_template"]):
            role = caller.role.replace("_", " ")
            raise ProblemRaised("forbidden", f"a key of the role {role!r} does not reach {method} here")
        connection.scope["user"] = caller

    return guard


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Whom the guard has let in."""
    caller = request.user
    assert isinstance(caller, Caller), caller
    return caller


def tenant_of(request: Request[Any, Any, Any]) -> Tenant | None:
    """For whom the caller acts; None: the exchange, which sees everything."""
    return caller_of(request).tenant


def _sent_key(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise ProblemRaised("unauthorized", headers={"WWW-Authenticate": CHALLENGE})
    return key.strip()


def _unknown(keys: AccessKeys) -> ProblemRaised:
    if not keys.are_known:
        return ProblemRaised("unavailable", "the access keys have not been read yet: Redis is away")
    return ProblemRaised(
        "unauthorized",
        "the key is not valid",
        headers={"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'},
    )
