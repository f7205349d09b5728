"""Commands about the catalogue from the command line: they go to the log themselves, so that no API has to run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from commands.catalogue_head import CatalogueHead
from commands.change_catalogue import ChangeCatalogue
from commands.kafka_log import KafkaLog
from domain.errors import Unavailable
from domain.names import Names
from domain.terms.kinds import all_forms
from gavel.process_clock import SystemClock, fresh_id
from gavel.read_side import require
from gavel.settings import Settings


class CatalogueDesk(NamedTuple):
    """Connected to one installation's log."""

    change: ChangeCatalogue
    head: CatalogueHead
    log: KafkaLog
    names: Names


async def _not_asked(campaign_id: str) -> int:
    """No command from here asks what a campaign has spent."""
    raise Unavailable(f"Nobody here knows what the campaign {campaign_id!r} has spent.")


@asynccontextmanager
async def catalogue_desk(settings: Settings, *, client_id: str) -> AsyncIterator[CatalogueDesk]:
    """`client_id` is what Kafka knows it by. Raises InvalidInput where no Kafka is set."""
    [kafka_url] = require(settings, "kafka_url")
    names = Names(settings.namespace)
    log = KafkaLog(kafka_url, names.topics, client_id=client_id)
    head = CatalogueHead(kafka_url, names.catalogue, client_id=f"{client_id}-catalogue")
    await log.start()
    try:
        change = ChangeCatalogue(
            log=log,
            head=head,
            names=names,
            forms=all_forms(allow_private=settings.allow_private_endpoints),
            spent_of=_not_asked,
            clock=SystemClock(),
            ids=fresh_id,
        )
        yield CatalogueDesk(change, head, log, names)
    finally:
        await head.close()
        await log.close()
