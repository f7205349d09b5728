"""The entities of the catalogue: lists, and one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from api.access import tenant_of
from api.catalogue_entity import COLLECTIONS, Collection, etag, shown
from api.read.paging import LIMIT_DEFAULT, Cursor, Limit, next_link
from api.read.waiting import read_model
from api.services import Services
from domain import catalogue
from domain.entity import EntityKind
from domain.errors import Fault, InvalidInput, NotFound
from domain.holdings import BELONGS_TO
from projections.queries import entities as queries
from projections.queries.page import Page

PROJECTION = "catalogue"

Status = Annotated[catalogue.Status | None, QueryParameter(description="Only entities of this status.")]
PartOf = Annotated[str | None, QueryParameter(description="Only entities that are part of this one.")]


def catalogue_queries() -> Iterator[HTTPRouteHandler]:
    """The routes of all kinds, below `/v1`."""
    for collection in COLLECTIONS:
        yield _list(collection)
        yield _one(collection)


def _list(collection: Collection) -> HTTPRouteHandler:
    @get(f"/{collection.path}", name=f"list {collection.kind}", include_in_schema=False)
    async def entities(
        request: Request[Any, Any, Any],
        services: Services,
        *,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
        status: Status = None,
        publisher_id: PartOf = None,
        advertiser_id: PartOf = None,
        campaign_id: PartOf = None,
    ) -> Response[Page[dict[str, Any]]]:
        stated: dict[EntityKind, str | None] = {
            "publisher": publisher_id,
            "advertiser": advertiser_id,
            "campaign": campaign_id,
        }
        parts_of = _parts_of(collection, stated)
        async with read_model(PROJECTION, request, services) as freshness:
            page = await queries.list_entities(
                services.database,
                collection.kind,
                status=status,
                parts_of=parts_of,
                cursor=cursor,
                limit=limit,
                tenant=tenant_of(request),
            )
        form = services.change_catalogue.form(collection.kind)
        items = tuple(shown(each, form) for each in page.items)
        headers = freshness.headers | next_link(request, page.next_cursor)
        return Response(Page(items=items, next_cursor=page.next_cursor), headers=headers)

    return entities


def _parts_of(collection: Collection, stated: Mapping[EntityKind, str | None]) -> dict[EntityKind, str]:
    """What the listed entities must be part of. Raises InvalidInput for what those of the kind never are part of."""
    parts_of = {kind: owner_id for kind, owner_id in stated.items() if owner_id is not None}
    foreign = parts_of.keys() - BELONGS_TO.get(collection.kind, ())
    if foreign:
        what = f"is no filter here: {collection.path} are not part of one"
        raise InvalidInput(Fault(f"{kind}_id", what) for kind in sorted(foreign))
    return parts_of


def _one(collection: Collection) -> HTTPRouteHandler:
    @get(f"/{collection.path}/{{entity_id:str}}", name=f"show {collection.kind}", include_in_schema=False)
    async def one(
        request: Request[Any, Any, Any], services: Services, entity_id: FromPath[str]
    ) -> Response[dict[str, Any]]:
        async with read_model(PROJECTION, request, services) as freshness:
            found = await queries.entity(services.database, collection.kind, entity_id, tenant=tenant_of(request))
            if found is None:
                raise NotFound(f"There is no {collection.singular} {entity_id!r} in the read model (yet).")
        document = shown(found, services.change_catalogue.form(collection.kind))
        return Response(document, headers=freshness.headers | {"ETag": etag(found)})

    return one
