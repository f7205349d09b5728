"""Where Kafka is and how to speak to it, read from one line of text.

    host:port,host2:port                                        plain text
    kafka://host:port,host2:port                                the same
    kafkas://host:port?ca_file=/path/ca.pem                     TLS; without `ca_file` the system's authorities
    kafkas://user:password@host:port?sasl_mechanism=SCRAM-SHA-512

Characters of a user or password that mean something in a URL are percent-encoded.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from domain.errors import Fault, InvalidInput

DEFAULT_PORT = 9092
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PARAMETERS = ("sasl_mechanism", "ca_file")


class KafkaUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster's first addresses and the credentials for it. Its repr hides the password."""

    bootstrap_servers: tuple[str, ...]
    """Each `host:port`."""
    tls: bool = False
    ca_file: str | None = None
    sasl_mechanism: str | None = None
    """None: no authentication."""
    sasl_username: str | None = None
    sasl_password: str | None = None

    def __repr__(self) -> str:
        return f"KafkaUrl({','.join(self.bootstrap_servers)}, {self.security_protocol})"

    @property
    def security_protocol(self) -> str:
        """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, as Kafka's clients name them."""
        transport = "SSL" if self.tls else "PLAINTEXT"
        return f"SASL_{transport}" if self.sasl_mechanism else transport

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments of any aiokafka client, all but `ssl_context`, which it needs where `tls` is set."""
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap_servers),
            "security_protocol": self.security_protocol,
        }
        if self.sasl_mechanism:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password
        return options


def parse_kafka_url(text: str) -> KafkaUrl:
    """Reads an address; raises InvalidInput with every fault, none of which repeats a password."""
    scheme, separator, rest = text.strip().rpartition("://")
    if separator and scheme not in {"kafka", "kafkas"}:
        raise InvalidInput([Fault("kafka_url", f"{scheme}:// is neither kafka:// nor kafkas://")])
    authority, _, query = rest.partition("?")
    credentials, _, servers = authority.rstrip("/").rpartition("@")
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    mechanism = parameters.get("sasl_mechanism", "PLAIN" if credentials else None)
    faults = _faults(credentials, parameters, mechanism)
    addresses = [part.strip() for part in servers.split(",") if part.strip()]
    if not addresses:
        faults.append("names no server")
    checked = []
    for address in addresses:
        try:
            checked.append(_host_and_port(address))
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise InvalidInput([Fault("kafka_url", fault) for fault in faults])
    username, _, password = credentials.partition(":")
    return KafkaUrl(
        bootstrap_servers=tuple(checked),
        tls=scheme == "kafkas",
        ca_file=parameters.get("ca_file"),
        sasl_mechanism=mechanism,
        sasl_username=unquote(username) if mechanism else None,
        sasl_password=unquote(password) if mechanism else None,
    )


def _faults(credentials: str, parameters: dict[str, str], mechanism: str | None) -> list[str]:
    faults = [
        f"{name} is not one of the parameters {', '.join(PARAMETERS)}" for name in parameters if name not in PARAMETERS
    ]
    if mechanism is not None and mechanism not in SASL_MECHANISMS:
        faults.append(f"{mechanism} is not one of {', '.join(SASL_MECHANISMS)}")
    if mechanism is not None and ":" not in credentials:
        faults.append("authentication needs user:password@ before the servers")
    return faults


def _host_and_port(address: str) -> str:
    """`host:port` with the default port filled in; raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, str(DEFAULT_PORT)
    if not host or (":" in host and not host.startswith("[")):
        raise ValueError(f"{address} is not host:port (an IPv6 address stands in brackets)")
    if not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"{address} has no port from 1 to 65535")
    return f"{host}:{port}"
