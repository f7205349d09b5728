"""House rules that no linter knows; each failure names what to do instead."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("domain", "commands", "projections", "api", "gavel", "bench", "tests")
FUNCTION_MAX_LINES = 70
FILE_MAX_LINES = 500
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
BANNED_CALLS = {
    "datetime.utcnow": "datetime.now(UTC)",
    "datetime.utcfromtimestamp": "datetime.fromtimestamp(seconds, UTC)",
    "asyncio.get_event_loop": "asyncio.get_running_loop()",
    "uuid.uuid4": "an id from the Ids port (UUIDv7)",
    "json.loads": "msgspec.json.decode",
    "json.dumps": "msgspec.json.encode",
}
"""Call to its replacement, wherever events are made or read."""


def python_files(*packages: str) -> Iterator[Path]:
    for package in packages or PACKAGES:
        yield from (p for p in sorted((ROOT / package).rglob("*.py")) if "node_modules" not in p.parts)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def where(path: Path, line: int = 1) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_a_function_fits_one_screen() -> None:
    """No function is longer than a screen: split it where its story has a pause."""
    long = [
        f"{where(path, f.lineno)} {f.name} has {lines} lines"
        for path in python_files()
        for f in functions(path)
        if (lines := (f.end_lineno or f.lineno) - f.lineno + 1) > FUNCTION_MAX_LINES
    ]
    assert not long, "\n".join(long)


def test_a_file_tells_one_thing() -> None:
    """No file grows past the bound: two concerns are two files."""
    long = [where(path) for path in python_files() if len(path.read_text().splitlines()) > FILE_MAX_LINES]
    assert not long, "\n".join(long)


def test_no_vague_file_names() -> None:
    """A newcomer finds any behaviour by its file's name."""
    vague = [where(path) for path in python_files() if path.stem in VAGUE_NAMES]
    assert not vague, "\n".join(vague)


def test_every_module_says_what_it_is() -> None:
    """Each file that holds code starts with a docstring."""
    silent = [
        where(path)
        for path in python_files()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent, "\n".join(silent)


def test_every_test_says_what_it_shows() -> None:
    """One sentence of docstring per test."""
    silent = [
        f"{where(path, f.lineno)} {f.name}"
        for path in python_files("tests")
        for f in functions(path)
        if f.name.startswith("test_") and not ast.get_docstring(f)
    ]
    assert not silent, "\n".join(silent)


@pytest.mark.parametrize(("call", "replacement"), BANNED_CALLS.items())
def test_banned_calls(call: str, replacement: str) -> None:
    """Calls that have a better form in this house."""
    pattern = re.compile(rf"(?<![\w.]){re.escape(call)}\(")
    found = [
        f"{where(path, number)} use {replacement}"
        for path in python_files("domain", "commands", "projections", "api")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_the_environment_is_read_in_one_place() -> None:
    """Only the settings read `os.environ`; child processes are handed a copy through them."""
    readers = {
        where(path)
        for path in python_files("domain", "commands", "projections", "api", "gavel")
        if re.search(r"os\.(environ|getenv)", path.read_text())
    }
    assert readers <= {"gavel/settings.py:1"}, sorted(readers)


def test_alembic_is_not_a_package() -> None:
    """An `__init__.py` in `alembic/` would shadow the library."""
    assert not (ROOT / "alembic" / "__init__.py").exists()


def test_locks_hold_hashes_and_no_addresses() -> None:
    """Every locked package has hashes, and no lock names a registry."""
    for lock in sorted((ROOT / "requirements").glob("*.lock")):
        text = lock.read_text()
        assert "--index-url" not in text, lock.name
        assert "://" not in text, lock.name
        requirements = re.findall(r"^[a-zA-Z0-9].*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
        assert requirements, lock.name
        assert all("--hash=sha256:" in each for each in requirements), lock.name


def test_links_in_the_documents_lead_somewhere() -> None:
    """Every relative link of a Markdown file names a file that git knows."""
    listing = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    broken = [
        f"{where(document)} -> {target}"
        for document in (ROOT / name for name in listing.splitlines())
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text())
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)
