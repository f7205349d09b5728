"""`GET /v1/feeds/{client}/runs/{id}`: what a bulk load has come to."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath

from api.access import tenant_of
from api.feed_names import own_feed
from api.problems import ProblemRaised
from api.read.waiting import wait_as_asked
from api.services import ApiServices, Services
from domain.errors import NotFound
from domain.feeds.runs import Run, RunStatus

MET_WITHIN_S = 2.0
"""A run that was just received is waited for so long before it is called unknown."""


class RunShown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bulk load as far as it is applied."""

    id: str
    status: RunStatus
    mode: str
    received: int
    """Records that its upload had; until that is complete, those that were met by now."""
    rejected: int
    """Lines that were no records, once the upload is complete."""
    applied: int
    """Records of it that were met in the log, those included that a later change stands over."""
    duplicates: int
    """Of these, in a load that replaces: another one of the same key came before."""
    parked: int
    """Records that could not be applied, once the upload is complete: they are dead letters."""
    next_line: int
    """The line that an upload goes on with which is sent again under the same `Idempotency-Key`."""
    reason: str | None = None
    """Why it failed."""


@get(
    "/feeds/{client:str}/runs/{run_id:str}",
    tags=["Feeds"],
    operation_id="ShowFeedRun",
    summary="What a bulk load has come to",
)
async def show_feed_run(
    request: Request[Any, Any, Any], services: Services, client: FromPath[str], run_id: FromPath[str]
) -> Response[RunShown]:
    """`loading`: all of it is received and met, and whether it is published will be decided in a moment."""
    owner = own_feed(client, tenant_of(request))
    headers = await wait_as_asked(["audiences_bulk"], request, services)
    run = await services.feed_runs.find(owner, run_id)
    if run is None:
        await services.feed_senders.check_known(client)
        await _read_all(owner, services)
        run = await services.feed_runs.find(owner, run_id)
    if run is None:
        raise NotFound(f"The feed client {client!r} has no run {run_id!r}.")
    return Response(run_shown(run_id, run), headers=headers)


def run_shown(run_id: str, run: Run) -> RunShown:
    """As the consumer keeps it."""
    is_complete = run.status != "receiving" and (run.received or run.rejected)
    return RunShown(
        id=run_id,
        status=run.status,
        mode=run.mode,
        received=run.received if is_complete else run.loaded,
        rejected=run.rejected,
        applied=run.loaded,
        duplicates=run.duplicates,
        parked=run.parked if is_complete else 0,
        next_line=run.next_line,
        reason=run.reason or None,
    )


async def _read_all(client: str, services: ApiServices) -> None:
    """Returns once all is applied that the log has of the client by now; raises ProblemRaised where that takes long."""
    if not await services.feed_backlog.loads_met(client, MET_WITHIN_S):
        raise ProblemRaised("not-yet", "it is not known yet: there are records that are still to be applied")
