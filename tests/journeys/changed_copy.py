"""A copy of the product that is changed as a document says, and run beside the product as it is."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from projections.servers import Addresses

ROOT = Path(__file__).parents[2]
COPIED = ("domain", "commands", "projections", "api", "gavel", "tests", "alembic", "alembic.ini", "pyproject.toml")
BLOCK = re.compile(r"^```(python|json|diff)\n(?:# |// )?(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A block that names a file in its first line: the file as a whole, or a change of it."""
STOP_SECONDS = 20


class ChangedCopy:
    """A folder with the product in it, after the changes that a section of a document tells."""

    def __init__(self, folder: Path, section: str) -> None:
        self.folder = folder
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
            else:
                shutil.copy(source, folder / name)
        self.written = [self._change(*block) for block in BLOCK.findall(section)]
        assert self.written, "the section changes nothing"

    def _change(self, kind: str, name: str, text: str) -> Path:
        path = self.folder / name
        if kind == "diff":
            lines = text.splitlines()
            before = "\n".join(line[1:] for line in lines if not line.startswith("+"))
            after = "\n".join(line[1:] for line in lines if not line.startswith("-"))
            whole = path.read_text()
            assert whole.count(before) == 1, f"{name} has not, or not once:\n{before}"
            path.write_text(whole.replace(before, after))
        else:
            path.write_text(text)
        return path

    def python(self, *words: str) -> str:
        """What a Python of its own prints that runs in the copy; AssertionError where it fails."""
        command = [sys.executable, *words]
        done = subprocess.run(
            command, check=False, cwd=self.folder, env=self._environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @asynccontextmanager
    async def projecting(self, addresses: Addresses, *projections: str) -> AsyncIterator[None]:
        """A worker that runs the copy's projections."""
        words = ("-m", "tests.projections.projector", msgspec.json.encode(addresses).decode(), *projections)
        process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=self.folder, env=self._environment)
        try:
            yield
        finally:
            process.kill()
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}


def section(document: str, heading: str) -> str:
    """A section of a Markdown document, from its heading to the next one of its level."""
    text = (ROOT / document).read_text()
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{document} has no section {heading!r}"
    return found[1]
