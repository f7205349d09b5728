"""The database's schema, brought to what this version of Gavel needs."""

from __future__ import annotations

from urllib.parse import urlsplit

from sqlalchemy.exc import InterfaceError, OperationalError

from gavel.errors import CannotRun
from projections import migrate as schema


async def migrate(postgres_url: str) -> None:
    """Upgrades to the newest revision. Raises CannotRun if the database does not let us in."""
    try:
        await schema.migrate(postgres_url)
    except (OSError, OperationalError, InterfaceError) as error:
        address = urlsplit(postgres_url)
        reason = str(error).splitlines()[0]
        raise CannotRun(f"cannot migrate {address.path[1:]} at {address.hostname}:{address.port}: {reason}") from error
