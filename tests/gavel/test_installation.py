"""The installation file: keys that stay, addresses that do not."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from gavel.installation import Installation
from gavel.pseudonym_keys import PseudonymKeyFile
from gavel.settings import INSTALLATION_FILE, Settings, load
from gavel.token_keys import TokenKeyFile


def read(folder: Path) -> Settings:
    """As another command sees it, with no other source of settings."""
    return load({}, dotenv=folder / ".env", data=folder)


def test_keys_are_made_once(tmp_path: Path) -> None:
    """The second start has the first one's keys, and only the first says that they are new."""
    first, is_new = Installation(tmp_path).complete(Settings(data=tmp_path))
    rotating = PseudonymKeyFile.of(first).read() + TokenKeyFile.of(first).read()
    assert is_new
    second, is_new = Installation(tmp_path).complete(read(tmp_path))
    assert not is_new
    assert second.admin_key == first.admin_key
    assert PseudonymKeyFile.of(second).read() + TokenKeyFile.of(second).read() == rotating
    assert len({first.admin_key, *(each.key for each in rotating)}) == 3


@pytest.mark.parametrize(("name", "file"), [("pseudonym_key", PseudonymKeyFile), ("token_key", TokenKeyFile)])
def test_a_key_of_an_older_version_is_taken_over(
    tmp_path: Path, name: str, file: type[PseudonymKeyFile | TokenKeyFile]
) -> None:
    """People keep their pseudonyms, ads on pages still count, and the key can rotate from then on."""
    (tmp_path / INSTALLATION_FILE).write_text(f'{{"{name}":"{"ab" * 32}","admin_key":"given"}}')
    settings, _ = Installation(tmp_path).complete(read(tmp_path))
    assert getattr(settings, name) is None
    assert [each.key for each in file.of(read(tmp_path)).read()] == ["ab" * 32]
    assert name not in (tmp_path / INSTALLATION_FILE).read_text()


def test_keys_of_the_environment_need_no_file(tmp_path: Path) -> None:
    """They are nowhere written down."""
    given = Settings(data=tmp_path, pseudonym_key="cd" * 32, token_key="ef" * 32)
    settings, _ = Installation(tmp_path).complete(given)
    assert (settings.pseudonym_key, settings.token_key) == ("cd" * 32, "ef" * 32)
    assert [path.name for path in tmp_path.iterdir()] == [INSTALLATION_FILE]
    written = (tmp_path / INSTALLATION_FILE).read_text()
    assert "cd" * 32 not in written
    assert "ef" * 32 not in written


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    """It holds keys: mode 0600."""
    Installation(tmp_path).complete(Settings(data=tmp_path))
    assert stat.S_IMODE((tmp_path / INSTALLATION_FILE).stat().st_mode) == 0o600


def test_a_given_key_is_kept(tmp_path: Path) -> None:
    """A key from the environment is used, and is not announced as a new one."""
    settings, is_new = Installation(tmp_path).complete(Settings(data=tmp_path, admin_key="given"))
    assert not is_new
    assert settings.admin_key == "given"


def test_addresses_are_published_and_forgotten(tmp_path: Path) -> None:
    """Other commands find a running installation, and none where it has ended; keys and brokers stay."""
    installation = Installation(tmp_path)
    settings, _ = installation.complete(Settings(data=tmp_path, brokers=3, port=9_000))
    installation.publish(msgspec.structs.replace(settings, kafka_url="k:1", redis_url="redis://r:1/0"))
    found = read(tmp_path)
    assert (found.kafka_url, found.redis_url, found.postgres_url, found.port) == ("k:1", "redis://r:1/0", None, 9_000)
    installation.forget_addresses()
    left = read(tmp_path)
    assert (left.kafka_url, left.redis_url, left.port) == (None, None, 8_080)
    assert (left.admin_key, left.brokers) == (settings.admin_key, 3)
