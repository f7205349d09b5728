"""Lists come in pages that `Link: <…>; rel="next"` chains together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from litestar.params import QueryParameter

if TYPE_CHECKING:
    from litestar import Request

LIMIT_DEFAULT = 50
LIMIT_MAX = 500

Cursor = Annotated[str | None, QueryParameter(description="Where the page starts: `next_cursor` of the one before.")]
Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX, description="Items in a page, at most.")]


def next_link(request: Request[Any, Any, Any], next_cursor: str | None) -> dict[str, str]:
    """The Link header of a page with one after it: the same query with the next cursor."""
    if next_cursor is None:
        return {}
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return {"Link": f'<{request.url.path}?{urlencode([*query, ("cursor", next_cursor)])}>; rel="next"'}
