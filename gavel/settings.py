"""Settings: the environment (`GAVEL_…`), then a `.env` file, then what `gavel up` wrote into the data folder.

The only place that reads `os.environ`. Values are checked once, here; everything else is handed a `Settings`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec

from domain.errors import Fault, InvalidInput
from domain.limits import BASIS_POINTS, FEED_SCRIPT_RECORDS, FEED_SCRIPT_RECORDS_MAX

PREFIX = "GAVEL_"
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
INSTALLATION_FILE = "installation.json"
"""Inside the data folder: addresses and secrets of the installation that `gavel up` runs there, mode 0600."""

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
FeedBatch = Annotated[int, msgspec.Meta(ge=1, le=FEED_SCRIPT_RECORDS_MAX)]
Share = Annotated[int, msgspec.Meta(ge=0, le=BASIS_POINTS)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One installation's settings; each is the variable GAVEL_<NAME> in capitals."""

    data: Path = Path(".gavel")
    """Folder of the embedded servers, the spool and the installation file."""
    cache: Path = Path("~/.cache/gavel")
    """Where the Kafka broker's files are kept, for all installations of this user."""
    host: str = "127.0.0.1"
    port: Port = 8080
    workers: Count = 1
    """API processes."""
    brokers: Count = 1
    """Embedded Kafka brokers."""
    partitions: Count = 6
    """Of every topic, when it is created."""
    namespace: str = "gavel"
    """Prefix of topics, groups and Redis keys."""
    public_url: str | None = None
    """What viewers' browsers reach this exchange at; by default http://HOST:PORT."""
    kafka_url: str | None = None
    """host:port,host:port; `kafka://` in front is allowed."""
    postgres_url: str | None = None
    redis_url: str | None = None
    """redis://host:port, or a cluster's first nodes: redis+cluster://host:port,host:port; `rediss` for TLS."""
    admin_key: str | None = None
    token_key: str | None = None
    """Hex, at least 16 bytes: signs impression and click tokens.

    A key that stands here cannot be rotated while processes run.
    """
    token_key_file: Path = Path("token-keys.json")
    """Where the keys are found otherwise, in the data folder unless absolute; running processes follow it."""
    pseudonym_key: str | None = None
    """Hex, at least 16 bytes: turns user and device ids into pseudonyms before they reach the log.

    A key that stands here cannot be rotated while processes run.
    """
    pseudonym_key_file: Path = Path("pseudonym-keys.json")
    """Where the key is found otherwise, in the data folder unless absolute; running processes follow it."""
    feed_key: str | None = None
    """Hex, at least 32 bytes: wraps the keys that feed clients' records are sealed with. Without it they are lost."""
    feed_key_previous: str | None = None
    """The key before, until `gavel feeds rotate --wrapping-key` has wrapped under the new one what stood under it."""
    feed_key_file: Path = Path("feed-wrapping-key.json")
    """Where it is found otherwise, in the data folder unless absolute; made when the first record comes."""
    feed_keys_file: Path = Path("feed-keys.json")
    """The wrapped keys, one file for all API processes, in the data folder unless absolute; they follow it."""
    feed_batch: FeedBatch = FEED_SCRIPT_RECORDS
    """Records of a feed client that are applied to Redis at a time, which answers nobody else meanwhile: 1 to 1,000.

    Each batch is one row of the audit.
    """
    robot_patterns: Path | None = None
    """File of regular expressions, one a line: user agents of robots beside those that are known anyway.

    This file and the next two are read again when they change; one with a bad line is refused as a whole.
    """
    browser_patterns: Path | None = None
    """The same of browsers, apps and players, in place of those that are known: what is none of them is no person."""
    data_centres: Path | None = None
    """File of networks in CIDR form, one a line: nobody looks at ads there."""
    allow_private_endpoints: bool = False
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks whose `X-Forwarded-For` is believed; no limit of an address holds for them."""
    auctions_per_address_minute: Count = 60_000
    """Of `POST /openrtb2/auction`, in each API process: a server that asks for many publishers is one address."""
    publisher_share_bps: Share = 8_000
    """The publisher's part of the clearing price where no publisher's own terms say otherwise."""
    log_level: str = "info"

    @property
    def base_url(self) -> str:
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


SECRETS = frozenset({"admin_key", "token_key", "pseudonym_key", "feed_key", "feed_key_previous"})
LISTS = frozenset({"trusted_proxies"})
HIDDEN = "(hidden)"
PASSWORD = re.compile(r"(?<=://)(?P<user>[^:?#]*):.*(?=@)|(?P<option>[?&]\w*password=)[^&#]*")
"""In an address: all from the user's colon to the last @, or an option of that name."""
DEFAULT_DATA = Path(".gavel")
FIELD_TYPES: dict[str, Any] = get_type_hints(Settings, include_extras=True)


def load(environment: Mapping[str, str] | None = None, *, dotenv: Path = Path(".env"), **overrides: Any) -> Settings:
    """The settings in force; overrides (from the command line) win over all. Raises InvalidInput with every fault."""
    environment = os.environ if environment is None else environment
    given = {**_read_dotenv(dotenv), **environment}
    # Orchestrators put names of their own behind the prefix: unknown ones are listed by `gavel doctor`, not refused.
    values: dict[str, Any] = {name: given[variable(name)] for name in FIELD_TYPES if given.get(variable(name))}
    values |= {name: value for name, value in overrides.items() if value is not None}
    values = _read_installation(Path(values.get("data", DEFAULT_DATA))) | values
    faults: list[Fault] = []
    checked: dict[str, Any] = {}
    for name, value in values.items():
        try:
            checked[name] = _check(name, value)
        except msgspec.ValidationError as error:
            faults.append(Fault(variable(name), str(error)))
    if faults:
        raise InvalidInput(sorted(faults, key=lambda fault: fault.path))
    return Settings(**checked)


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment of this process, changed so that a child process loads the same settings."""
    values = msgspec.to_builtins(settings, enc_hook=str)
    given = {variable(n): ",".join(v) if n in LISTS else str(v) for n, v in values.items() if v is not None}
    return {**os.environ, **given}


def shown(settings: Settings) -> dict[str, Any]:
    """The settings for people's eyes: keys and passwords are hidden."""
    values = msgspec.to_builtins(settings, enc_hook=str)
    hidden = {name: HIDDEN for name in SECRETS if values[name] is not None}
    urls = {name: PASSWORD.sub(_without_password, url) for name, url in values.items() if name.endswith("_url") and url}
    return {**values, **urls, **hidden}


def share_metrics(folder: Path) -> None:
    """Lets the worker processes that are started from here on keep their metrics together in an emptied folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob("*.db"):
        leftover.unlink()
    os.environ[METRICS_VARIABLE] = str(folder)


def metrics_folder() -> str | None:
    """Where worker processes share their metrics, if they do; the variable is prometheus-client's own."""
    return os.environ.get(METRICS_VARIABLE)


def _without_password(found: re.Match[str]) -> str:
    return f"{found['option']}{HIDDEN}" if found["option"] else f"{found['user']}:{HIDDEN}"


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def unknown_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """Variables that look like settings and are none: most often a slip of the pen."""
    known = {variable(name) for name in FIELD_TYPES}
    return sorted(
        n for n in (os.environ if environment is None else environment) if n.startswith(PREFIX) and n not in known
    )


def _check(name: str, value: Any) -> Any:
    field_type = FIELD_TYPES[name]
    if field_type in (Path, Path | None):
        return Path(value)
    if name in LISTS and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    return msgspec.convert(value, field_type, strict=False)


def _read_installation(data: Path) -> dict[str, Any]:
    try:
        content = (data / INSTALLATION_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return msgspec.json.decode(content, type=dict[str, Any])


def _read_dotenv(path: Path) -> dict[str, str]:
    """Lines of NAME=value; blank lines and `#` comments are passed over, quotes around a value are taken off."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return {name.strip().removeprefix("export "): value.strip().strip("\"'") for name, _, value in pairs}
