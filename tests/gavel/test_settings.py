"""Settings: where they come from, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.errors import InvalidInput
from gavel import settings


def test_order_of_the_sources(tmp_path: Path) -> None:
    """The command line wins over the environment, that over `.env`, that over the installation file."""
    (tmp_path / settings.INSTALLATION_FILE).write_text('{"port": 1, "host": "a", "workers": 5, "brokers": 3}')
    dotenv = tmp_path / ".env"
    dotenv.write_text("# addresses\nGAVEL_PORT=2\nexport GAVEL_HOST='b'\nGAVEL_WORKERS=6\n")
    environment = {"GAVEL_DATA": str(tmp_path), "GAVEL_PORT": "3", "GAVEL_HOST": "c"}
    loaded = settings.load(environment, dotenv=dotenv, port=4, host=None)
    assert (loaded.port, loaded.host, loaded.workers, loaded.brokers) == (4, "c", 6, 3)


def test_every_wrong_setting_is_named(tmp_path: Path) -> None:
    """All faults are told at once, each under its variable's name."""
    wrong = {
        "GAVEL_PORT": "70000",
        "GAVEL_WORKERS": "none",
        "GAVEL_ALLOW_PRIVATE_ENDPOINTS": "perhaps",
        "GAVEL_FEED_BATCH": "1001",
    }
    with pytest.raises(InvalidInput) as caught:
        settings.load(wrong, dotenv=tmp_path / ".env", data=tmp_path)
    assert [fault.path for fault in caught.value.faults] == sorted(wrong)


def test_lists_and_flags(tmp_path: Path) -> None:
    """Lists are comma-separated, flags are written as people write them."""
    loaded = settings.load(
        {"GAVEL_TRUSTED_PROXIES": "10.0.0.0/8, ::1", "GAVEL_ALLOW_PRIVATE_ENDPOINTS": "1"},
        dotenv=tmp_path / ".env",
        data=tmp_path,
    )
    assert loaded.trusted_proxies == ("10.0.0.0/8", "::1")
    assert loaded.allow_private_endpoints is True


def test_slips_of_the_pen_are_found() -> None:
    """A variable that looks like a setting and is none is listed for `gavel doctor`."""
    assert settings.unknown_variables({"GAVEL_PROT": "1", "GAVEL_PORT": "1", "HOME": "x"}) == ["GAVEL_PROT"]
