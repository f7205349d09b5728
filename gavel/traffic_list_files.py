"""The lists of robots, browsers and data centres as files: read at the start, and again whenever they change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import structlog

from commands.traffic_lists import TrafficLists
from domain.errors import Fault, InvalidInput
from domain.limits import TRAFFIC_LIST_MAX_BYTES
from domain.networks import Networks
from domain.traffic_lists import KNOWN_BROWSERS, UserAgentPatterns, networks, user_agent_patterns
from gavel.settings import Settings, variable

FOLLOW_SECONDS: Final = 0.4
"""How long a changed file has to stand as it is: whoever writes one anew empties it first."""

_Stamp = tuple[int, int, int] | None
List = TypeVar("List", UserAgentPatterns, Networks)

log = structlog.get_logger(__name__)


class TrafficListFiles:
    """The lists that the settings name, as a running process knows them: called, those in force."""

    def __init__(self, settings: Settings) -> None:
        """Raises InvalidInput, naming every bad line, or the file that cannot be read or is empty."""
        self._settings = settings
        self._stamp = self._stamp_now()
        self._lists = self._read()

    def __repr__(self) -> str:
        return f"TrafficListFiles({self._lists!r})"

    def __call__(self) -> TrafficLists:
        return self._lists

    async def follow(self) -> None:
        """Takes up changes until it is cancelled, once the files have stood for FOLLOW_SECONDS as they are.

        A file that is gone, empty, or has a bad line changes nothing: all lists stay as they were, and the log says
        why.
        """
        if not self._paths():
            return
        stamp = self._stamp
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            before, stamp = stamp, self._stamp_now()
            if stamp == self._stamp or stamp != before:
                continue
            self._stamp = stamp
            try:
                self._lists = await asyncio.to_thread(self._read)
            except InvalidInput as error:
                log.warning("lists of traffic were not taken up", reason=str(error))
            else:
                log.info("lists of traffic were taken up", lists=repr(self._lists))

    def _paths(self) -> list[Path]:
        settings = self._settings
        named = (settings.robot_patterns, settings.browser_patterns, settings.data_centres)
        return [path for path in named if path is not None]

    def _stamp_now(self) -> tuple[_Stamp, ...]:
        """Another one for every other content."""
        return tuple(_stamp(path) for path in self._paths())

    def _read(self) -> TrafficLists:
        settings = self._settings
        return TrafficLists(
            robots=_read("robot_patterns", settings.robot_patterns, user_agent_patterns, UserAgentPatterns()),
            browsers=_read("browser_patterns", settings.browser_patterns, user_agent_patterns, KNOWN_BROWSERS),
            data_centres=_read("data_centres", settings.data_centres, networks, Networks()),
        )


def _read(name: str, path: Path | None, parse: Callable[[str, str], List], otherwise: List) -> List:
    """The list of a setting. Raises InvalidInput, also for one without an entry: of browsers it would know none."""
    if path is None:
        return otherwise
    try:
        if path.stat().st_size > TRAFFIC_LIST_MAX_BYTES:
            raise InvalidInput([Fault(variable(name), f"{path} is larger than {TRAFFIC_LIST_MAX_BYTES} bytes")])
        text = path.read_text("utf-8")
    except OSError as error:
        raise InvalidInput([Fault(variable(name), f"cannot read {path}: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise InvalidInput([Fault(variable(name), f"{path} is not UTF-8: {error.reason}")]) from error
    entries = parse(text, str(path))
    if not entries:
        raise InvalidInput([Fault(variable(name), f"{path} holds no entry; take the setting away to go without")])
    return entries


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size)
