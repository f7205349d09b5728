"""A test that hangs fails after its time (pytest-timeout), and its report says what every task was waiting for."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from typing import Any

import pytest

LOOP = pytest.StashKey[asyncio.AbstractEventLoop]()


@pytest.fixture(scope="session", autouse=True)
async def loop_is_known(request: pytest.FixtureRequest) -> None:
    """The timer interrupts the loop from outside, where nothing tells any more which one it was."""
    request.config.stash[LOOP] = asyncio.get_running_loop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the tasks of the loop to the report of a test whose time was over."""
    report = yield
    loop = item.config.stash.get(LOOP, None)
    if loop is not None and call.excinfo is not None and str(call.excinfo.value).startswith("Timeout"):
        told = ("\n  ".join((task.get_name(), *_places(task))) for task in asyncio.all_tasks(loop))
        report.sections.append(("tasks under way", "\n".join(told)))
    return report


def _places(task: asyncio.Task[Any]) -> Iterator[str]:
    """Where each coroutine stands that the task waits in; `Task.get_stack` knows the outermost only."""
    waits: Any = task.get_coro()
    while waits is not None:
        frame = getattr(waits, "cr_frame", None) or getattr(waits, "gi_frame", None)
        if frame is None:
            yield repr(waits)
        else:
            yield f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
        waits = getattr(waits, "cr_await", None) or getattr(waits, "gi_yieldfrom", None)
