"""Redis's address in one line of text."""

from __future__ import annotations

import pytest

from domain.errors import InvalidInput
from domain.redis_url import parse_redis_url


@pytest.mark.parametrize(
    ("text", "is_cluster", "addresses"),
    [
        ("redis://localhost", False, ["redis://localhost:6379"]),
        ("redis://u:p%40ss@a:7/3?socket_keepalive=yes", False, ["redis://u:p%40ss@a:7/3?socket_keepalive=yes"]),
        ("rediss://[::1]:7", False, ["rediss://[::1]:7"]),
        ("redis+cluster://a:1", True, ["redis://a:1"]),
        ("redis+cluster://a:1, b,[fe80::1]:3/0", True, ["redis://a:1/0", "redis://b:6379/0", "redis://[fe80::1]:3/0"]),
        ("redis://a:1,b:2", True, ["redis://a:1", "redis://b:2"]),
        (
            "rediss+cluster://:pw@a:1,b:2?ssl_ca_certs=/ca",
            True,
            ["rediss://:pw@a:1?ssl_ca_certs=/ca", "rediss://:pw@b:2?ssl_ca_certs=/ca"],
        ),
    ],
)
def test_every_form_is_read(text: str, is_cluster: bool, addresses: list[str]) -> None:
    """One server or several: each is given credentials, database and options of the whole."""
    url = parse_redis_url(text)
    assert url.is_cluster == is_cluster
    assert [url.at(host, port) for host, port in url.servers] == addresses


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "starts with none of"),
        ("localhost:6379", "starts with none of"),
        ("http://a:1", "starts with none of"),
        ("redis://", "not host:port"),
        ("redis+cluster://a:1,", "not host:port"),
        ("redis+cluster://::1", "brackets"),
        ("redis+cluster://a:x", "no port"),
        ("redis://a:70000", "no port"),
        ("redis+cluster://a:1,b:2/3", "one database"),
    ],
)
def test_faults_are_named(text: str, message: str) -> None:
    """What cannot be an address is refused with what is wrong."""
    with pytest.raises(InvalidInput) as refused:
        parse_redis_url(text)
    assert message in str(refused.value.faults)


def test_a_password_is_not_shown() -> None:
    """Neither in the repr nor in a complaint."""
    assert "secret" not in repr(parse_redis_url("redis+cluster://user:secret@a:1,b:2"))
    with pytest.raises(InvalidInput) as refused:
        parse_redis_url("redis+cluster://user:secret@a:1,b:x")
    assert "secret" not in str(refused.value.faults)
