"""Where Redis is and how to speak to it, read from one line of text.

    redis://user:password@host:6379/0?option=value              one Redis
    rediss://host:6379?ssl_ca_certs=/path/ca.pem                over TLS
    redis+cluster://user:password@host:6379,host2:6379          a cluster, found by whichever of these answers
    rediss+cluster://host:6379,host2:6379                       over TLS

Several addresses are a cluster whatever the scheme. User, password and options are the same for all of its nodes.
Characters of a user or password that mean something in a URL are percent-encoded.
"""

from __future__ import annotations

import msgspec

from domain.errors import Fault, InvalidInput

DEFAULT_PORT = 6379
CLUSTER_SUFFIX = "+cluster"
SCHEMES = ("redis", "rediss", f"redis{CLUSTER_SUFFIX}", f"rediss{CLUSTER_SUFFIX}")


class RedisUrl(msgspec.Struct, frozen=True, kw_only=True):
    """One Redis, or the first addresses of a cluster. Its repr hides the password."""

    tls: bool
    credentials: str
    """As they stand before the @, percent-encoded; empty for none."""
    servers: tuple[tuple[str, int], ...]
    """Host (an IPv6 address without brackets) and port of each."""
    suffix: str
    """What follows: the number of the database, and the client's options."""
    is_cluster: bool

    def __repr__(self) -> str:
        kind = "cluster of " if self.is_cluster else ""
        return f"RedisUrl({kind}{', '.join(f'{host}:{port}' for host, port in self.servers)})"

    def at(self, host: str, port: int) -> str:
        """The address of one server, with these credentials and options, as clients of one Redis take it."""
        scheme = "rediss" if self.tls else "redis"
        credentials = f"{self.credentials}@" if self.credentials else ""
        return f"{scheme}://{credentials}{f'[{host}]' if ':' in host else host}:{port}{self.suffix}"


def parse_redis_url(text: str) -> RedisUrl:
    """Reads an address; raises InvalidInput with every fault, none of which repeats a password."""
    scheme, separator, rest = text.strip().partition("://")
    if not separator or scheme not in SCHEMES:
        raise InvalidInput([Fault("redis_url", f"starts with none of {', '.join(f'{each}://' for each in SCHEMES)}")])
    credentials, _, place = rest.rpartition("@")
    cut = min((at for at in (place.find("/"), place.find("?")) if at >= 0), default=len(place))
    servers, suffix = place[:cut], place[cut:]
    faults: list[str] = []
    checked: list[tuple[str, int]] = []
    for address in (part.strip() for part in servers.split(",")):
        try:
            checked.append(_host_and_port(address))
        except ValueError as error:
            faults.append(str(error))
    is_cluster = scheme.endswith(CLUSTER_SUFFIX) or len(checked) > 1
    if is_cluster and suffix.partition("?")[0] not in ("", "/", "/0"):
        faults.append("a cluster has one database only: leave its number out")
    if faults:
        raise InvalidInput([Fault("redis_url", fault) for fault in faults])
    return RedisUrl(
        tls=scheme.startswith("rediss"),
        credentials=credentials,
        servers=tuple(checked),
        suffix=suffix,
        is_cluster=is_cluster,
    )


def _host_and_port(address: str) -> tuple[str, int]:
    """With the default port filled in; raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, str(DEFAULT_PORT)
    if not host or (":" in host and not host.startswith("[")):
        raise ValueError(f"{address!r} is not host:port (an IPv6 address stands in brackets)")
    if not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"{address} has no port from 1 to 65535")
    return host.strip("[]"), int(port)
