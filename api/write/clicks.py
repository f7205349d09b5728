"""`GET /click?t=TOKEN`: the redirect to the landing page inside the token, and to nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import asgi
from litestar.types import HTTPScope, Receive, Send

from api.position_token import raw_token_header
from api.raw_http import not_allowed, respond, respond_problem
from api.write.engagement_token import token_in
from api.write.fetched_ahead import is_fetched_ahead
from domain.endpoint import url_as_sent
from domain.errors import InvalidToken, Unavailable

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler

    from api.services import ApiServices


def clicks(services: ApiServices) -> ASGIRouteHandler:
    """The route, below the framework."""

    @asgi("/click", copy_scope=False, name="record_click")
    async def record_click(scope: HTTPScope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
        if scope["method"] != "GET":
            await respond_problem(send, not_allowed(scope["method"], "GET"))
            return
        headers = dict(scope["headers"])
        try:
            click = await services.record_engagement.click(
                token_in(scope["query_string"]),
                ip=services.client_addresses.of(scope),
                user_agent=headers.get(b"user-agent", b"").decode("latin-1"),
                is_ahead=is_fetched_ahead(headers),
            )
        except (InvalidToken, Unavailable) as error:
            services.metrics.engagement("click", "forged" if isinstance(error, InvalidToken) else "unavailable")
            await respond_problem(send, error)
            return
        services.metrics.engagement("click", click.verdict)
        location = url_as_sent(click.landing_url).encode()
        await respond(
            send,
            302,
            [
                (b"location", location),
                (b"cache-control", b"no-store"),
                (b"referrer-policy", b"no-referrer"),
                *raw_token_header(click.logged_at),
            ],
        )

    return record_click
