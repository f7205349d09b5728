"""The OpenAPI 3.1 document at `/schema`.

Litestar derives the typed routes; the raw ones, and what holds for all of them, are written down here.
Nothing of it loads anything from elsewhere.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Response, Router
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Server, Tag

from api.access_rules import Roles, roles_of
from api.catalogue_entity import COLLECTIONS
from api.dashboard.page import SECURITY_HEADERS
from api.openapi_ads import AD_PATHS
from api.openapi_catalogue import catalogue_paths, catalogue_schemas
from api.openapi_feeds import FEED_PATHS
from api.openapi_raw_routes import RAW_PATHS
from api.problems import KINDS, PROBLEM_JSON

if TYPE_CHECKING:
    from litestar import Request

TAGS = {
    "Exchange": "What publishers and viewers' browsers call. Public, bounded, and durable before it is answered.",
    "Catalogue": "Who takes part. Commands are logged, then projected; `Gavel-Token` connects the two.",
    "Auctions": "The story of every auction: who was asked, what each answered, and why one won.",
    "Reports": "Counts and money.",
    "Ledger": "The books: refunds, and days that are closed.",
    "Feeds": "Records of feed clients: loaded, changed and looked up by key, sealed with a key of each client's own.",
    "Access": "Keys for publishers and advertisers. A key is told once; what is kept of it is a digest.",
    "Operations": "How the exchange itself does.",
}
DESCRIPTION = (
    "A real-time ad exchange whose only source of truth is an append-only log. "
    "Prices are CPM: numbers in OpenRTB, decimal strings everywhere else. "
    "Every error is `application/problem+json` with a stable `type`."
)
CONTRACT_VERSION = "1.0.0"
"""Of the public contract: `/v1`."""
METHODS = frozenset({"get", "post", "put", "patch", "delete", "head"})
LOGGED = frozenset(
    {
        "post /openrtb2/auction",
        "post /openrtb2/event",
        "get /ad",
        "get /impression",
        "get /click",
        "post /v1/auctions/{auction_id}/void",
        "post /v1/ledger/days/{day}/close",
        "post /v1/feeds/{client}/bulk",
        "post /v1/feeds/{client}/changes",
    }
)
"""Operations that write to the log, beside the commands of the catalogue: their answers carry a token."""
FEED_READS = {
    "/v1/feeds/{client}/records": ("Gavel-Stale",),
    "/v1/feeds/{client}/runs": (),
    "/v1/feeds/{client}/audit": (),
}
"""They wait for `Gavel-Token` too, do not tell a lag, and have headers of their own."""
LISTED_FEEDS = "/v1/feeds"
"""A read model as well; what stands below it is none."""
READ_MODEL_PATHS = ("/v1/auctions", "/v1/reports", *(f"/v1/{each.path}" for each in COLLECTIONS))

_PROBLEM_RESPONSE = {"$ref": "#/components/responses/Problem"}
_READ_HEADERS = ("Gavel-Token", "Prefer")


def openapi_config(base_url: str) -> OpenAPIConfig:
    """Serves `/schema` and `/schema/openapi.json`, `/schema/openapi.yaml`, and a page at `/schema/operations`."""
    return OpenAPIConfig(
        title="Gavel",
        version=CONTRACT_VERSION,
        description=DESCRIPTION,
        servers=[Server(url=base_url)],
        tags=[Tag(name=name, description=description) for name, description in TAGS.items()],
        components=Components(
            security_schemes={
                "accessKey": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description=(
                        "GAVEL_ADMIN_KEY, or a key of `POST /v1/access-keys`. Each operation names the roles that it "
                        "is for; a publisher or advertiser meets only what is its own, and nothing else exists for it."
                    ),
                )
            }
        ),
        use_handler_docstrings=True,
        render_plugins=[
            _Json(path=["/openapi.json", "/"]),
            _Yaml(path=["/openapi.yaml", "/openapi.yml"]),
            _OperationsPage(path="/operations"),
        ],
        openapi_router=Router(
            "/schema",
            route_handlers=[],
            include_in_schema=False,
            after_request=_as_problem,
            response_headers=SECURITY_HEADERS,
        ),
    )


def complete(derived: dict[str, Any]) -> dict[str, Any]:
    """The derived document with the raw routes, the problems and the headers of read models, as plain JSON values."""
    paths = _plain(derived["paths"] | RAW_PATHS | AD_PATHS | FEED_PATHS | catalogue_paths())
    for path, item in paths.items():
        for method in METHODS & item.keys():
            item[method] = _with_problem(item[method])
            if f"{method} {path}" in LOGGED:
                item[method] = _with_token(item[method])
            if path.startswith("/v1/"):
                item[method] = _with_roles(item[method], roles_of(method.upper(), path))
        if (path.startswith(READ_MODEL_PATHS) or path == LISTED_FEEDS) and "get" in item:
            item["get"] = _with_freshness(item["get"])
        for prefix, told in FEED_READS.items():
            if path.startswith(prefix):
                item |= {method: _with_waiting(item[method], *told) for method in METHODS & item.keys()}
    components = _plain(derived["components"])
    components["schemas"] = components.get("schemas", {}) | _plain(catalogue_schemas())
    shared = {"responses": _problem_responses(), "parameters": _parameters(), "headers": _headers()}
    completed: dict[str, Any] = _plain(derived) | {
        "paths": dict(sorted(paths.items())),
        "components": components | shared,
    }
    return completed


def _with_problem(operation: dict[str, Any]) -> dict[str, Any]:
    # What the framework says about 400 is its own form of an error, which is never sent.
    responses = {status: each for status, each in operation["responses"].items() if status != "400" or "$ref" in each}
    return {**operation, "responses": {**responses, "default": _PROBLEM_RESPONSE}}


def _with_roles(operation: dict[str, Any], roles: Roles) -> dict[str, Any]:
    """Any one of the roles will do (OpenAPI 3.1: names of roles stand where other schemes have scopes)."""
    named = sorted(roles)
    description = f"{operation['description']}\n\nFor keys of: {', '.join(named).replace('_', ' ')}."
    return {**operation, "description": description, "security": [{"accessKey": [role]} for role in named]}


def _with_freshness(operation: dict[str, Any]) -> dict[str, Any]:
    return _with_waiting(operation, "Gavel-Lag")


def _with_waiting(operation: dict[str, Any], *told: str) -> dict[str, Any]:
    parameters = [
        *operation.get("parameters", []),
        *({"$ref": f"#/components/parameters/{name}"} for name in _READ_HEADERS),
    ]
    success = operation["responses"]["200"]
    responses = {**operation["responses"], "200": _with_headers(success, *told, "Preference-Applied")}
    return {**operation, "parameters": parameters, "responses": responses}


def _with_token(operation: dict[str, Any]) -> dict[str, Any]:
    return {
        **operation,
        "responses": {
            status: _with_headers(response, "Gavel-Token") if status.startswith(("2", "3")) else response
            for status, response in operation["responses"].items()
        },
    }


def _with_headers(response: dict[str, Any], *names: str) -> dict[str, Any]:
    shared = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return {**response, "headers": {**response.get("headers", {}), **shared}}


def _problem_responses() -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "enum": [f"/problems/{name}" for name in KINDS]},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["path", "message"],
                    "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
                },
            },
        },
    }
    problem = {"description": "What went wrong (RFC 9457).", "content": {PROBLEM_JSON: {"schema": schema}}}
    return {"Problem": _with_headers(problem, "Retry-After")}


def _parameters() -> dict[str, Any]:
    return {
        "Gavel-Token": {
            "name": "Gavel-Token",
            "in": "header",
            "description": "What a command answered with: with `Prefer: wait` the answer includes its effect.",
            "schema": {"type": "string"},
            "example": "gavel.catalogue/3/17",
        },
        "Prefer": {
            "name": "Prefer",
            "in": "header",
            "description": "`wait=N`: wait up to N seconds (30 at most) for `Gavel-Token`, else 503.",
            "schema": {"type": "string"},
            "example": "wait=5",
        },
    }


def _headers() -> dict[str, Any]:
    return {
        "Gavel-Lag": {
            "description": "Events that are logged and not in this answer yet; `unknown` while Kafka is away.",
            "schema": {"type": "string"},
            "example": "0",
        },
        "Gavel-Stale": {
            "description": "`true` where `stale=true` was asked and records are missing, as they are read again.",
            "schema": {"type": "string", "enum": ["true"]},
        },
        "Gavel-Token": {
            "description": (
                "Where the log has it: a query that sends it with `Prefer: wait` sees it. Absent while the log is away "
                "and the disk stands in for it, and for a forged token, which is not logged."
            ),
            "schema": {"type": "string"},
            "example": "gavel.engagements/3/17",
        },
        "Preference-Applied": {
            "description": "How long would have been waited for `Gavel-Token`, where there was something to wait for.",
            "schema": {"type": "string"},
            "example": "wait=5",
        },
        "Retry-After": {
            "description": "Seconds to wait before it is tried again; with 429 and 503.",
            "schema": {"type": "integer"},
            "example": 1,
        },
    }


def _as_problem(response: Response[Any]) -> Response[Any]:
    """The framework's own page for an unknown document becomes a problem like any other."""
    if response.status_code == NotFoundException.status_code:
        raise NotFoundException
    return response


class _Json(JsonRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, complete(openapi_schema))


class _Yaml(YamlRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, complete(openapi_schema))


class _OperationsPage(OpenAPIRenderPlugin):
    """All operations on one plain page."""

    def __init__(self, *, path: str) -> None:
        super().__init__(path=path, media_type=MediaType.HTML)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        del request
        rows = "".join(
            f"<tr><td><code>{method.upper()}</code></td><td><code>{escape(path)}</code></td>"
            f"<td>{escape(str(operation.get('summary', '')))}</td></tr>"
            for path, item in complete(openapi_schema)["paths"].items()
            for method, operation in item.items()
            if method in METHODS
        )
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Gavel: operations</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<link rel="icon" href="/dashboard/icon.svg"><link rel="stylesheet" href="/dashboard/style.css"></head>'
            '<body class="document"><main><h1>Operations</h1><p>In full: <a href="openapi.json">openapi.json</a>, '
            f'<a href="openapi.yaml">openapi.yaml</a>.</p><table><tbody>{rows}</tbody></table></main></body></html>'
        ).encode()


def _plain(value: Any) -> Any:
    """As it comes out of JSON: defaults that are tuples would be Python objects in YAML."""
    return msgspec.json.decode(msgspec.json.encode(value))
