"""The JSON body of a `/v1` command, as bytes: the command itself finds all its faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.problems import ProblemRaised

if TYPE_CHECKING:
    from litestar import Request

JSON = "application/json"


async def json_body(request: Request[Any, Any, Any]) -> bytes:
    """Raises ProblemRaised (415) for another type or any encoding; the application bounds its size (413)."""
    content_type = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if content_type != JSON:
        raise ProblemRaised(
            "unsupported-media-type", f"Content-Type {content_type!r} is not {JSON}", headers={"Accept-Post": JSON}
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise ProblemRaised(
            "unsupported-media-type",
            f"Content-Encoding {encoding!r} is not supported here",
            headers={"Accept-Encoding": "identity"},
        )
    return await request.body()
