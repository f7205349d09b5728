"""The headers that guard a command: `If-Match` and `Idempotency-Key`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from domain.errors import Fault, InvalidInput
from domain.limits import IDEMPOTENCY_KEY_MAX_CHARS

if TYPE_CHECKING:
    from litestar import Request

    from domain.catalogue_changes import Versions

IF_MATCH = "If-Match"
IDEMPOTENCY_KEY = "Idempotency-Key"
_TAG = r'(?:W/)?"[\x21\x23-\x7e]*"'
_TAGS = re.compile(rf"\s*{_TAG}(?:\s*,\s*{_TAG})*\s*")
_VERSION = re.compile(r'(?<!/)"([1-9][0-9]{0,9})"')
_KEY = re.compile(rf"[\x21-\x7e]{{1,{IDEMPOTENCY_KEY_MAX_CHARS}}}")


def expected_versions(request: Request[Any, Any, Any]) -> Versions | None:
    """The versions that `If-Match` names; None: any. Raises InvalidInput.

    A weak tag, or one that was never given out, matches nothing (RFC 9110, section 13.1.1).
    """
    stated = request.headers.getall(IF_MATCH, [])
    if not stated or [each.strip() for each in stated] == ["*"]:
        return None
    tags = ",".join(stated)
    if not _TAGS.fullmatch(tags):
        raise InvalidInput([Fault(IF_MATCH, 'is neither * nor a list of entity tags like "3"')])
    return frozenset(int(version) for version in _VERSION.findall(tags))


def idempotency_key(request: Request[Any, Any, Any]) -> str | None:
    """What makes a retry safe, if it was sent. Raises InvalidInput."""
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidInput(
            [Fault(IDEMPOTENCY_KEY, f"is not 1 to {IDEMPOTENCY_KEY_MAX_CHARS} visible ASCII characters without blanks")]
        )
    return key
