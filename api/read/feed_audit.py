"""`GET /v1/feeds/{client}/audit`: what became of every record that a feed client has sent."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

from api.access import tenant_of
from api.feed_names import own_feed
from api.read.paging import LIMIT_DEFAULT, Cursor, Limit, next_link
from api.read.waiting import database_errors, wait_as_asked
from api.services import Services
from projections.queries.feed_audit import AuditShown, feed_audit_of
from projections.registry import FEEDS


@get(
    "/feeds/{client:str}/audit",
    tags=["Feeds"],
    operation_id="ShowFeedAudit",
    summary="What became of every record of a feed client",
)
async def show_feed_audit(
    request: Request[Any, Any, Any],
    *,
    services: Services,
    client: FromPath[str],
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Response[AuditShown]:
    """The sums, and the batches in the order of the log.

    Every record that was read counts once: as added, overwritten, updated, deleted, stale (something later stands
    over it, or it was told before) or rejected (nobody can read it). A deletion counts as one also where nothing
    stood under the key, and an update where nothing stood under its old one. `refused` are lines of uploads that
    never became records. `pending` batches are applied, and not in the figures yet. The sums stand on the first page
    only: on the others `totals` and `topics` are null.
    """
    owner = own_feed(client, tenant_of(request))
    headers = await wait_as_asked(FEEDS, request, services)
    with database_errors():
        shown = await feed_audit_of(
            services.database, services.redis, services.names, owner, cursor=cursor, limit=limit
        )
    if not shown.items and not shown.pending:
        await services.feed_senders.check_known(client)
    return Response(shown, headers=headers | next_link(request, shown.next_cursor))
