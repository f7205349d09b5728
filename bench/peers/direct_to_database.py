"""The pixel as a first version is written: Litestar handler, each impression an INSERT over a connection of its own.

Takes POSTGRES from the environment; the table `direct_impressions` exists.
"""

from __future__ import annotations

import os
from base64 import b64decode
from datetime import UTC, datetime
from typing import Annotated

import asyncpg
from litestar import Litestar, Response, get
from litestar.params import Parameter
from uuid_utils import uuid7

GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
HEADERS = {"Cache-Control": "no-store"}
INSERT = "INSERT INTO direct_impressions (id, at, token) VALUES ($1, $2, $3)"


@get("/impression")
async def impression(token: Annotated[str, Parameter(query="t")]) -> Response[bytes]:
    connection = await asyncpg.connect(os.environ["POSTGRES"])
    try:
        await connection.execute(INSERT, str(uuid7()), datetime.now(UTC), token)
    finally:
        await connection.close()
    return Response(GIF, media_type="image/gif", headers=HEADERS)


app = Litestar([impression], openapi_config=None, logging_config=None)
