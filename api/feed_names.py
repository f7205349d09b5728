"""Whose feed an address names, and whether the caller may know of it."""

from __future__ import annotations

from commands.feeds.feed_senders import unknown
from domain.access import Tenant
from domain.terms.feed_client import feed_client_id


def own_feed(name: str, tenant: Tenant | None) -> str:
    """The id of the feed client of that name. Raises NotFound: to another one it is as absent as one that never was."""
    client = feed_client_id(name)
    if tenant is not None and tenant.subject_id != client:
        raise unknown(name)
    return client
