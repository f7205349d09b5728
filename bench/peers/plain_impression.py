"""A plain durable pixel of the usual stack: Litestar handler, one aiokafka `send` awaited per impression.

Takes KAFKA and TOPIC from the environment.
"""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from aiokafka import AIOKafkaProducer
from litestar import Litestar, Response, get
from litestar.datastructures import State
from litestar.params import Parameter
from uuid_utils import uuid7

GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
HEADERS = {"Cache-Control": "no-store"}


@asynccontextmanager
async def kafka(app: Litestar) -> AsyncIterator[None]:
    app.state.producer = AIOKafkaProducer(bootstrap_servers=os.environ["KAFKA"], acks="all")
    await app.state.producer.start()
    yield
    await app.state.producer.stop()


@get("/impression")
async def impression(state: State, token: Annotated[str, Parameter(query="t")]) -> Response[bytes]:
    event = {"type": "impression_recorded", "id": str(uuid7()), "at": datetime.now(UTC), "token": token}
    await state.producer.send_and_wait(os.environ["TOPIC"], msgspec.json.encode(event), key=token[:36].encode())
    return Response(GIF, media_type="image/gif", headers=HEADERS)


app = Litestar([impression], lifespan=[kafka], openapi_config=None, logging_config=None)
