"""Serves the page's files from memory, with headers that let it load nothing but them."""

from __future__ import annotations

from pathlib import Path

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

FOLDER = Path(__file__).parent
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Small, and always those of the running version.
    "Cache-Control": "no-cache",
}


def dashboard() -> list[HTTPRouteHandler]:
    """The routes of the page; its files are read once, here."""
    index = (FOLDER / "index.html").read_bytes()
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES}

    @get("/", include_in_schema=False)
    async def show_page() -> Response[bytes]:
        return Response(index, media_type="text/html", headers=SECURITY_HEADERS)

    @get("/dashboard/{name:str}", include_in_schema=False)
    async def show_file(name: FromPath[str]) -> Response[bytes]:
        if name not in files:
            raise NotFoundException
        return Response(files[name], media_type=MEDIA_TYPES[Path(name).suffix], headers=SECURITY_HEADERS)

    return [show_page, show_file]
