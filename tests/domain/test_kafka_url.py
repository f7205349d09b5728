"""Kafka's address in one line of text."""

from __future__ import annotations

import pytest

from domain.errors import InvalidInput
from domain.kafka_url import KafkaUrl, parse_kafka_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:9092", KafkaUrl(bootstrap_servers=("localhost:9092",))),
        ("a:1,b:2", KafkaUrl(bootstrap_servers=("a:1", "b:2"))),
        ("kafka://a:1, b", KafkaUrl(bootstrap_servers=("a:1", "b:9092"))),
        ("kafka://[::1]:19092/", KafkaUrl(bootstrap_servers=("[::1]:19092",))),
        ("[::1]", KafkaUrl(bootstrap_servers=("[::1]:9092",))),
        ("kafkas://a:1?ca_file=/etc/ca.pem", KafkaUrl(bootstrap_servers=("a:1",), tls=True, ca_file="/etc/ca.pem")),
        (
            "kafkas://us%40er:p%3Ass@a:1,b:2?sasl_mechanism=SCRAM-SHA-512",
            KafkaUrl(
                bootstrap_servers=("a:1", "b:2"),
                tls=True,
                sasl_mechanism="SCRAM-SHA-512",
                sasl_username="us@er",
                sasl_password="p:ss",
            ),
        ),
    ],
)
def test_every_form_is_read(text: str, expected: KafkaUrl) -> None:
    """Plain lists, both schemes, credentials and parameters mean what the module says."""
    assert parse_kafka_url(text) == expected


@pytest.mark.parametrize(
    ("text", "protocol"),
    [
        ("a", "PLAINTEXT"),
        ("kafkas://a", "SSL"),
        ("kafka://u:p@a", "SASL_PLAINTEXT"),
        ("kafkas://u:p@a", "SASL_SSL"),
    ],
)
def test_security_follows_from_scheme_and_credentials(text: str, protocol: str) -> None:
    """The protocol is named in Kafka's own words."""
    assert parse_kafka_url(text).client_options()["security_protocol"] == protocol


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no server"),
        ("http://a:1", "neither kafka:// nor kafkas://"),
        ("a:x", "no port"),
        ("a:70000", "no port"),
        ("::1", "brackets"),
        (":9092", "not host:port"),
        ("kafkas://a?sasl_mechanism=GUESS", "GUESS is not one of"),
        ("kafkas://a?sasl_mechanism=PLAIN", "needs user:password"),
        ("kafkas://a?trust=all", "trust is not one of the parameters"),
    ],
)
def test_a_bad_address_is_named(text: str, message: str) -> None:
    """A wrong address says what is wrong with it."""
    with pytest.raises(InvalidInput, match=message):
        parse_kafka_url(text)


def test_the_password_is_not_shown() -> None:
    """Neither the repr nor a fault repeats the password."""
    assert "secret" not in repr(parse_kafka_url("kafkas://user:secret@a:1"))
    with pytest.raises(InvalidInput) as refused:
        parse_kafka_url("kafkas://user:secret@a:x")
    assert "secret" not in str(refused.value)
