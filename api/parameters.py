"""What holds for every parameter of `/v1`, whatever it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.errors import Fault, InvalidInput

if TYPE_CHECKING:
    from litestar import Request


async def no_zero_bytes(request: Request[Any, Any, Any]) -> None:
    """A hook before requests: raises InvalidInput for a zero byte, which no text in Postgres can hold."""
    if "\x00" in request.scope["path"]:
        raise InvalidInput([Fault("", "the address holds a zero byte")])
    for name, value in request.query_params.multi_items():
        if "\x00" in name or "\x00" in value:
            raise InvalidInput([Fault(name, "holds a zero byte")])
