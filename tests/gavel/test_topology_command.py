"""`gavel topology`: the map as it is printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_map_tells_what_works_beside_the_projections(tmp_path: Path) -> None:
    """Where the audit of feeds ends, and what is freed of feeds without an event."""
    command = [sys.executable, "-m", "gavel", "topology", "--data", str(tmp_path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    _, companions = told.split("audit of feeds", 1)
    assert "postgres: feed_audit" in companions
    assert "frees" in companions
