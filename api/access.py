"""Who sends `Authorization: Bearer KEY`, and the guard of `/v1`: whether its role may use the route."""

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


class KeyHolders:
    """The holders of the admin key and of the catalogue's active keys."""

    def __init__(self, admin_key: str, keys: AccessKeys) -> None:
        assert admin_key, "an empty key would let everyone in"
        self._admin_digest = digest_of(admin_key)
        self._keys = keys

    def __repr__(self) -> str:
        return f"KeyHolders({self._keys!r})"

    def of(self, authorization: str) -> Caller:
        """Whose key an `Authorization` header holds.

        Raises ProblemRaised: 401 for a missing or wrong key, 503 for an unknown one while the keys are not known.
        """
        digest = digest_of(_sent_key(authorization))
        # Constant time, and of digests: how long it takes tells nothing about how much of the key is right.
        caller = OPERATOR if compare_digest(digest, self._admin_digest) else self._keys.holder(digest)
        if caller is None:
            raise _unknown(self._keys)
        return caller


def only_key_holders(holders: KeyHolders) -> Guard:
    """A guard that lets holders of keys through, each as far as its role reaches.

    Raises ProblemRaised as `KeyHolders.of`, and 403 for a route that is not for the key's role.
    """

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        caller = holders.of(connection.headers.get("authorization", ""))
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


def _sent_key(authorization: str) -> str:
    scheme, _, key = authorization.partition(" ")
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
