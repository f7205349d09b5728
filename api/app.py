"""The application: every route, and what holds for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide

from api.access import KeyHolders, only_key_holders
from api.dashboard.page import dashboard
from api.health import livez, metrics, readyz, reporting_health
from api.live.stream import live_figures
from api.openapi import openapi_config
from api.parameters import no_zero_bytes
from api.problems import explain_problem, render_problem
from api.read.auctions import list_auctions, show_auction
from api.read.bidder_report import report_bidders
from api.read.campaign_budget import show_campaign_budget
from api.read.catalogue import catalogue_queries
from api.read.dead_letters import list_dead_letters, show_dead_letter
from api.read.delivery import report_delivery
from api.read.feed_audit import show_feed_audit
from api.read.feed_records import show_feed_record, show_feed_records
from api.read.feed_runs import show_feed_run
from api.read.feeds import list_feeds
from api.read.ledger import report_ledger
from api.read.projections import list_projections
from api.read.traffic import report_traffic
from api.read.whoami import whoami
from api.write.access_keys import issue_access_key
from api.write.ads import ad_tag, ads
from api.write.bid_requests import bid_requests
from api.write.catalogue import catalogue_commands
from api.write.clicks import clicks
from api.write.dead_letters import retry_dead_letter, retry_dead_letters, skip_dead_letter
from api.write.events import events
from api.write.feeds import change_feed, load_feed
from api.write.impressions import impressions
from api.write.ledger_days import close_ledger_day
from api.write.projections import projection_commands
from api.write.voids import void_engagement
from domain.limits import CATALOGUE_BODY_MAX_BYTES

if TYPE_CHECKING:
    from api.services import ApiServices

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def create_app(services: ApiServices, lifespan: Sequence[Lifespan] = ()) -> Litestar:
    """The ASGI application over `services`; `lifespan` opens and closes them."""
    holders = KeyHolders(services.admin_key, services.access_keys)
    return Litestar(
        route_handlers=[
            bid_requests(services),
            ads(services),
            ad_tag(),
            impressions(services),
            clicks(services),
            events(services, holders),
            _v1(services, holders),
            livez,
            readyz,
            metrics,
            explain_problem,
            *dashboard(),
        ],
        dependencies={"services": Provide(lambda: services, sync_to_thread=False)},
        exception_handlers={Exception: render_problem},
        # No request log: `/metrics` counts, and the log of events is the record of what was done.
        logging_config=None,
        lifespan=[*lifespan, _live_feed, reporting_health],
        request_max_body_size=CATALOGUE_BODY_MAX_BYTES,
        state=State({"services": services}),
        debug=False,
        openapi_config=openapi_config(services.base_url),
    )


def _v1(services: ApiServices, holders: KeyHolders) -> Router:
    return Router(
        "/v1",
        route_handlers=[
            *catalogue_commands(),
            *catalogue_queries(),
            show_campaign_budget,
            issue_access_key,
            whoami,
            list_auctions,
            show_auction,
            report_delivery,
            report_bidders,
            report_ledger,
            report_traffic,
            void_engagement,
            close_ledger_day,
            list_projections,
            *projection_commands(),
            list_dead_letters,
            show_dead_letter,
            retry_dead_letters,
            retry_dead_letter,
            skip_dead_letter,
            list_feeds,
            load_feed,
            change_feed,
            show_feed_run,
            show_feed_audit,
            show_feed_record,
            show_feed_records,
            live_figures(services),
        ],
        guards=[only_key_holders(holders)],
        before_request=no_zero_bytes,
    )


def _live_feed(app: Litestar) -> AbstractAsyncContextManager[None]:
    services: ApiServices = app.state["services"]
    return services.live.running()
