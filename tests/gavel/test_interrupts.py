"""Ctrl-C and its like, sent to a process of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE

import pytest

PROCESS = """
import asyncio, sys, uvloop
from gavel.interrupts import until_interrupted

def say(line):
    print(line, flush=True)

async def work():
    say("working")
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.to_thread(sys.stdin.readline)

with asyncio.Runner(loop_factory={"asyncio": None, "uvloop": uvloop.new_event_loop}[sys.argv[1]]) as runner:
    runner.run(until_interrupted(work(), stopping=lambda: say("stopping"), hurry=lambda: say("hurried")))
say("ended")
sys.stdin.readline()
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signals_before_and_after_the_orderly_end(loop: str, number: int) -> None:
    """The first stops, the next hurries, and one that comes when all is done does not turn success into a death."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROCESS, loop, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    for expected in ("working", "stopping", "hurried"):
        assert await process.stdout.readline() == f"{expected}\n".encode()
        process.send_signal(number)
    process.stdin.write(b"\n")
    # It was signalled once more than it had said something.
    assert await process.stdout.readline() == b"hurried\n"
    assert await process.stdout.readline() == b"ended\n"
    process.send_signal(number)
    process.stdin.write(b"\n")
    assert await process.wait() == 0
