"""The JSON body of a `/v1` command, as bytes: the command itself finds all its faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.problems import ProblemRaised

if TYPE_CHECKING:
    from litestar import Request

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"


async def json_body(request: Request[Any, Any, Any], *accepted: str) -> bytes:
    """Raises ProblemRaised (415) for a type that is not accepted (JSON always is) or any encoding.

    The application bounds its size (413).
    """
    content_type = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if content_type != JSON and content_type not in accepted:
        types = ", ".join((JSON, *accepted))
        header = "Accept-Patch" if request.method == "PATCH" else "Accept-Post"
        raise ProblemRaised(
            "unsupported-media-type", f"Content-Type {content_type!r} is not {types}", headers={header: types}
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise ProblemRaised(
            "unsupported-media-type",
            f"Content-Encoding {encoding!r} is not supported here",
            headers={"Accept-Encoding": "identity"},
        )
    return await request.body()
