"""The token in an impression or click address."""

from __future__ import annotations

from urllib.parse import parse_qs


def token_in(query: bytes) -> str:
    """The value of `t`, or the empty string, which is no valid token."""
    # The addresses that Gavel gives out have nothing but the token, which needs no unquoting.
    if query.startswith(b"t=") and b"&" not in query and b"%" not in query:
        return query[2:].decode("latin-1")
    return parse_qs(query.decode("latin-1")).get("t", [""])[0]
