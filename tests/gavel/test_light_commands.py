"""Commands about read models are quick to start: they do without the API."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", ["projections", "dead_letters"])
def test_the_api_is_not_made(command: str) -> None:
    """Neither its framework nor its routes are loaded for a help text, or for a list in the middle of an accident."""
    program = f"import sys, gavel.cli.{command}; print(*(sys.modules.keys() & {{'litestar', 'gavel.wiring'}}))"
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert told.stdout.split() == []
