"""Which addresses on the network Gavel may call or send people to."""

from __future__ import annotations

import re
from unicodedata import normalize
from urllib.parse import SplitResult, quote, urlsplit

from domain.address_guard import refusal

ENDPOINT_MAX_CHARS = 2_048
HOST_MAX_CHARS = 253
"""The longest name that DNS has."""
URL_CHARACTERS = "%/:=&?~#+!$,;'@()*[]"
"""What stands for itself in a URL, beside letters, digits and `_.-`."""
_BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")
_NUMERIC_LABEL = re.compile(r"(^|\.)(0x[0-9a-f]*|[0-9]+)\.?$", re.IGNORECASE)


def endpoint_fault(url: str, *, allow_private: bool, max_chars: int = ENDPOINT_MAX_CHARS) -> str | None:
    """What speaks against calling this URL, as far as its text tells; None if nothing does.

    A name is resolved only when it is called, so the client checks the address that it gets.
    """
    parts, fault = _split(url, max_chars)
    if parts is None:
        return fault
    if parts.username is not None or parts.password is not None:
        return "must not carry credentials"
    if "#" in url:
        return "must not have a fragment"
    host = parts.hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        host = "127.0.0.1"
    try:
        why = refusal(host, allow_private=allow_private)
    except ValueError:
        # '127.1' and '0x7f000001' are addresses to a resolver.
        return "has a host that is neither a name nor an address" if _NUMERIC_LABEL.search(host) else None
    return None if why is None else f"leads to an address that is not allowed: {why}"


def url_as_sent(url: str) -> str:
    """The URL with everything escaped that no URL may hold; what is escaped already stays so."""
    return quote(url, safe=URL_CHARACTERS, errors="replace")


def authority_of(url: str) -> str:
    """Name and port that a call of the URL would reach, `dsp.example:443`; empty if it cannot be called."""
    parts, _ = _split(url, len(url))
    if parts is None or parts.hostname is None or len(parts.hostname) > HOST_MAX_CHARS:
        return ""
    return f"{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"


def web_page_fault(url: str) -> str | None:
    """What speaks against showing people this URL, a landing page or a picture, as far as its text tells; else None.

    It is http(s) on a website's public name: an address of the network, or a name that only some network knows, would
    lead each person to a machine of their own.
    """
    if len(url.encode()) > ENDPOINT_MAX_CHARS:
        return f"is longer than {ENDPOINT_MAX_CHARS} bytes"
    parts, fault = _split(url)
    if parts is None:
        return fault
    if parts.username is not None or parts.password is not None:
        return "must not carry credentials"
    host = _host_of(parts)
    if not is_public_name(host):
        return "is not on a public website: its host is no name like shop.example"
    if any(is_within(host, domain) for domain in _LOCAL_DOMAINS):
        return f"is not on a public website: {host} is a name of a local network"
    return None


def web_host(url: str) -> str:
    """The name of the website that a browser would open, in small letters; empty where it opens none."""
    parts, _ = _split(url)
    return "" if parts is None else _host_of(parts)


def _host_of(parts: SplitResult) -> str:
    # Browsers read other scripts' digits and letters of other widths as plain ones.
    return normalize("NFKC", parts.hostname or "").lower().rstrip(".")


def is_landing_page_of(url: str, domains: tuple[str, ...]) -> bool:
    """Whether the URL is http(s) on one of the domains or below, and no address of the network in disguise."""
    parts, _ = _split(url)
    if parts is None or parts.username is not None:
        return False
    host = (parts.hostname or "").rstrip(".")
    return is_public_name(host) and any(is_within(host, domain) for domain in domains)


def is_within(name: str, domain: str) -> bool:
    """Whether a host name is the domain or one of its subdomains."""
    name, domain = name.lower(), domain.lower().strip(".")
    return name == domain or (name.endswith("." + domain) and bool(domain))


def is_public_name(host: str) -> bool:
    """Whether this can be the name of a public website: letters, digits and inner dashes with a dot, not an address."""
    return _PUBLIC_NAME.fullmatch(host) is not None and not _NUMERIC_LABEL.search(host)


_LABEL = r"(?!-)[\w-]{1,63}(?<!-)"
_PUBLIC_NAME = re.compile(rf"({_LABEL}\.)+(?=[^.]*[^\W\d_]){_LABEL}", re.UNICODE)
"""The last label holds a letter."""


_LOCAL_DOMAINS = (
    *("localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "home.arpa", "lan"),
    *("mail", "test", "invalid", "onion", "alt"),
)
"""Names that resolve to nothing, or to something else on every network.

RFC 6761, RFC 6762 (also its appendix G), RFC 7686, RFC 8375, RFC 9476, and what ICANN set aside.
"""
_PORTS = {"http": 80, "https": 443}


def _split(url: str, max_chars: int = ENDPOINT_MAX_CHARS) -> tuple[SplitResult | None, str]:
    """The URL's parts, or None and what is wrong with it."""
    if len(url) > max_chars:
        return None, f"is longer than {max_chars} characters"
    if _BLANK_OR_CONTROL.search(url):
        return None, "holds a blank, a backslash or a control character"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return None, f"is not a URL: {error}"
    if parts.scheme not in {"http", "https"}:
        return None, "must start with http:// or https://"
    if not parts.hostname or port == 0:
        return None, "names no host" if not parts.hostname else "names port 0"
    return parts, ""
