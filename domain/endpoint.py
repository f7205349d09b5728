"""Which addresses on the network Gavel may call or send people to."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from domain.address_guard import refusal

ENDPOINT_MAX_CHARS = 2_048
_BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")
_NUMERIC_LABEL = re.compile(r"(^|\.)(0x[0-9a-f]*|[0-9]+)\.?$", re.IGNORECASE)


def endpoint_fault(url: str, *, allow_private: bool) -> str | None:
    """What speaks against calling this URL, as far as its text tells; None if nothing does.

    A name is resolved only when it is called, so the client checks the address that it gets.
    """
    parts, fault = _split(url)
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
    """Whether this can be the name of a public website: letters, digits and dashes with a dot, not an address."""
    return _PUBLIC_NAME.fullmatch(host) is not None and not _NUMERIC_LABEL.search(host)


_PUBLIC_NAME = re.compile(r"(?!-)[\w-]{1,63}(\.[\w-]{1,63})+", re.UNICODE)


def _split(url: str) -> tuple[SplitResult | None, str]:
    """The URL's parts, or None and what is wrong with it."""
    if len(url) > ENDPOINT_MAX_CHARS:
        return None, f"is longer than {ENDPOINT_MAX_CHARS} characters"
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
