"""The installation file: what other commands need to find and enter the installation that runs in a data folder.

It holds settings only, so `settings.load` reads it as the last of its sources. Keys are made once and stay; addresses
are those of the run under way.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from gavel.pseudonym_keys import PseudonymKeyFile
from gavel.secret_file import write_secret
from gavel.settings import INSTALLATION_FILE, Settings
from gavel.token_keys import TokenKeyFile

ADDRESSES = ("kafka_url", "postgres_url", "redis_url", "host", "port")
KEY_BYTES = 32


class Installation:
    """The file in one data folder; used by the process that holds the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / INSTALLATION_FILE

    def forget_addresses(self) -> None:
        """Removes what an earlier run has left: its servers are not where they were."""
        values = self._read()
        if any(name in values for name in ADDRESSES):
            self._write({name: value for name, value in values.items() if name not in ADDRESSES})

    def complete(self, settings: Settings) -> tuple[Settings, bool]:
        """The settings with keys, made and kept where none are set; and whether the admin key is a new one.

        Token and pseudonym keys rotate while processes run, so they stand in files of their own, made as well.
        """
        made = {"admin_key": settings.admin_key or secrets.token_urlsafe(KEY_BYTES)}
        is_new_key = settings.admin_key is None
        values = self._read()
        settings = msgspec.structs.replace(settings, **made)
        for name, file in (("pseudonym_key", PseudonymKeyFile), ("token_key", TokenKeyFile)):
            # Where older versions kept it, it could not rotate.
            old_key = values.pop(name, None)
            if getattr(settings, name) == old_key:
                settings = msgspec.structs.replace(settings, **{name: None})
                file.of(settings).ensure(first=old_key if isinstance(old_key, str) else None)
        # Kept as well: the log of three brokers cannot be started by one.
        self._write({**values, **made, "brokers": settings.brokers})
        return settings, is_new_key

    def publish(self, settings: Settings) -> None:
        """Makes the addresses of this run known."""
        addresses = {name: getattr(settings, name) for name in ADDRESSES if getattr(settings, name) is not None}
        self._write({**self._read(), **addresses})

    def _read(self) -> dict[str, object]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, object])
        except FileNotFoundError:
            return {}

    def _write(self, values: dict[str, object]) -> None:
        write_secret(self._path, values)
