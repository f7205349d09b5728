"""Starts one program that cannot outlive the process that asked for it, even when that one is killed with SIGKILL.

    python -I -S leash.py PARENT_PID DEATH_SIGNAL UID GID COMMAND [ARGUMENT …]

A UID of -1 keeps the present user. On Linux the kernel delivers the signal and this script becomes the program,
so the process id stays. Elsewhere it stays beside the program and watches the parent.
It is a script of its own because the kernel forgets the request when the user changes: first the user, then the
request, then the program. Running this between fork and exec inside a process with threads would be unsafe.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from types import FrameType

PR_SET_PDEATHSIG = 1
WATCH_SECONDS = 0.25


def main(arguments: list[str]) -> None:
    parent, death_signal, uid, gid = (int(argument) for argument in arguments[:4])
    command = arguments[4:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        die_with_parent(death_signal)
        if os.getppid() != parent:  # it died before the request was made
            sys.exit(1)
        os.execvp(command[0], command)  # noqa: S606 - the command is ours, and a shell is what is not wanted
    sys.exit(_watch(parent, death_signal, command))


def die_with_parent(death_signal: int) -> None:
    """Asks the kernel to send this process `death_signal` when its parent ends. Without effect but on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal)


def _watch(parent: int, death_signal: int, command: list[str]) -> int:
    """Runs the program beside this process until it or the parent ends; signals are passed on to it."""
    with subprocess.Popen(command) as program:  # noqa: S603 - the command is ours

        def pass_on(number: int, _frame: FrameType | None) -> None:
            program.send_signal(number)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, pass_on)
        while program.poll() is None:
            if os.getppid() != parent:
                program.send_signal(death_signal)
            time.sleep(WATCH_SECONDS)
        return program.returncode


if __name__ == "__main__":
    main(sys.argv[1:])
