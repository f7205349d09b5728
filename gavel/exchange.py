"""A whole exchange under one roof: servers, schema, topics, projectors, notifier and API, started in this order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import msgspec

from domain.names import Names
from gavel.embedded import EmbeddedServers
from gavel.embedded.folder import DataFolder
from gavel.embedded.ports import choose_port, why_taken
from gavel.embedded.servers import ALL, ServerName, Urls
from gavel.errors import CannotRun
from gavel.gavel_process import GavelProcess
from gavel.installation import Installation
from gavel.migration import migrate
from gavel.readiness import status_of_api
from gavel.settings import Settings, load, variable
from gavel.supervisor import Supervisor
from gavel.topics import ensure_topics
from gavel.traffic_list_files import TrafficListFiles


class Exchange:
    """What `gavel up` runs."""

    def __init__(
        self,
        overrides: dict[str, Any],
        *,
        say: Callable[[str], None],
        log: Callable[[str], None],
        only: Collection[ServerName] | None = None,
        demo: bool = False,
    ) -> None:
        """`overrides` are settings given on the command line; `say` gets lines for people, `log` those of processes.

        With `only`, these servers are all that runs.
        """
        self._overrides = overrides
        self._say = say
        self._log = log
        self._only = only
        self._demo = demo
        self._supervisor = Supervisor(say)
        self._servers: EmbeddedServers | None = None

    async def run(self) -> None:
        """Runs until it is cancelled, and leaves nothing running. Raises CannotRun."""
        with _held_folder(self._overrides) as (folder, installation):
            settings, is_new_key = installation.complete(load(**{**self._overrides, "data": folder.path}))
            if self._only is None:
                settings = _with_free_port(settings, folder)
                # What stops the API is told before any server is started.
                TrafficListFiles(settings)
            self._servers = EmbeddedServers(settings, only=self._only or ALL, folder=folder, announce=self._say)
            async with self._servers as urls:
                settings = _with_addresses(settings, urls)
                installation.publish(settings)
                if is_new_key:
                    self._say(f"Admin key, shown this once and kept in {folder.path}: {settings.admin_key}")
                if self._only is None:
                    await self._serve(settings)
                else:
                    self._announce_servers(urls)
                    await asyncio.Event().wait()

    def kill(self) -> None:
        """Hurries the end of a run that was cancelled."""
        self._supervisor.kill()
        if self._servers is not None:
            self._servers.kill()

    async def _serve(self, settings: Settings) -> None:
        assert settings.postgres_url is not None
        assert settings.kafka_url is not None
        await migrate(settings.postgres_url)
        await ensure_topics(settings.kafka_url, Names(settings.namespace), settings.partitions)

        async def is_ready() -> bool:
            return await status_of_api(settings) == HTTPStatus.OK

        projectors = GavelProcess("projectors", ("gavel", "project"), settings, write=self._log)
        notifier = GavelProcess("notifier", ("gavel", "notify"), settings, write=self._log)
        api = GavelProcess("api", ("gavel", "api"), settings, write=self._log, ready=is_ready)
        try:
            await self._supervisor.start(projectors, notifier, api)
            self._say(f"Gavel is ready: http://{_authority(settings)}/")
            if self._demo:
                self._say(f"The dashboard, signed in: http://{_authority(settings)}/#key={settings.admin_key}")
                arguments = ("gavel.simulate.demo", "--data", str(settings.data))
                await self._supervisor.start(GavelProcess("traffic", arguments, settings, write=self._log))
            await asyncio.Event().wait()
        finally:
            await self._supervisor.stop()

    def _announce_servers(self, urls: Urls) -> None:
        for name, url in urls._asdict().items():
            if url is not None:
                self._say(f"{variable(name)}={url}")
        self._say("Gavel's servers are ready.")


@contextmanager
def _held_folder(overrides: dict[str, Any]) -> Iterator[tuple[DataFolder, Installation]]:
    """The data folder, held against a second start; addresses stand in it only while this runs."""
    folder = DataFolder(load(**overrides).data)
    folder.open()
    installation = Installation(folder.path)
    try:
        installation.forget_addresses()
        yield folder, installation
    finally:
        installation.forget_addresses()
        folder.close()


def _with_free_port(settings: Settings, folder: DataFolder) -> Settings:
    """Port 0 becomes a free one, the same on every start; a busy one is told before anything is started."""
    if settings.port == 0:
        folder.record.ports["api"] = choose_port(folder.record.ports.get("api"), set())
        return msgspec.structs.replace(settings, port=folder.record.ports["api"])
    if reason := why_taken(settings.port, settings.host):
        raise CannotRun(
            f"cannot listen on {_authority(settings)}: {reason}; "
            "stop what runs there, or choose another port (--port, 0 for any free one)"
        )
    return settings


def _with_addresses(settings: Settings, urls: Urls) -> Settings:
    return msgspec.structs.replace(settings, **{name: url for name, url in urls._asdict().items() if url is not None})


def _authority(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.port}"
