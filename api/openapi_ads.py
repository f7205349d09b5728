"""What the OpenAPI document says about the routes of pages and of servers that report for them."""

from __future__ import annotations

from typing import Any

from domain.limits import (
    ADS_PER_IP_MINUTE_MAX,
    ENGAGEMENTS_PER_IP_MINUTE_MAX,
    EVENTS_PER_REQUEST_MAX,
    TOKEN_MAX_CHARS,
    USER_AGENT_READ_MAX_CHARS,
)

_AUCTION_ID = "01936f2a-5c1e-7cc3-98c4-dc0c0c07398f"
_AD_EXAMPLE = {
    "auction_id": _AUCTION_ID,
    "width": 300,
    "height": 250,
    "markup": "<a href='https://ads.example/click?t=…'><img src='…'></a><img src='https://ads.example/impression?t=…'>",
    "impression_url": "https://ads.example/impression?t=…",
    "click_url": "https://ads.example/click?t=…",
    "house": False,
}
_NULLABLE_URL = {"type": ["string", "null"], "format": "uri"}
_AD_SCHEMA = {
    "type": "object",
    "required": [*_AD_EXAMPLE],
    "properties": {
        "auction_id": {"type": "string", "format": "uuid"},
        "width": {"type": "integer"},
        "height": {"type": "integer"},
        "markup": {"type": "string", "description": "HTML with the impression pixel in it. Show it in a frame."},
        "impression_url": {**_NULLABLE_URL, "description": "Fetched by the markup; null for a house ad."},
        "click_url": {**_NULLABLE_URL, "description": "Null for an ad whose bid names no advertiser."},
        "house": {"type": "boolean", "description": "One of the publisher's own: nothing was sold, nobody pays."},
    },
}
_FLAG = {"type": "string", "enum": ["0", "1"]}
_TEXT = {"type": "string"}
_PIXELS = {"type": "integer", "minimum": 1, "maximum": 100_000}


def _asked(name: str, schema: dict[str, Any], description: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


_AD_PARAMETERS = [
    _asked("placement", {"type": "string", "maxLength": 64}, "The placement's id.", required=True),
    _asked("format", {"type": "string", "enum": ["json", "html"], "default": "json"}, "html: the page of a frame."),
    _asked("w", _PIXELS, "With `h`: one of the placement's sizes. Without: any of them."),
    _asked("h", _PIXELS, "See `w`."),
    _asked("url", _TEXT, "The page, http(s); else what `Referer` says is taken, else the publisher's domain."),
    _asked("country", {"type": "string", "pattern": "^[A-Za-z]{3}$"}, "The viewer's, ISO 3166-1 alpha-3."),
    _asked("user", _TEXT, "Who the viewer is to the publisher, as `user.id`; not with `format=html`."),
    _asked("gdpr", _FLAG, "1: the GDPR applies."),
    _asked("consent", _TEXT, "TCF consent string."),
    _asked("coppa", _FLAG, "1: the page is for children."),
    _asked("us_privacy", _TEXT, "US privacy string."),
    _asked("gpp", _TEXT, "GPP string."),
    _asked("gpp_sid", _TEXT, "The sections of it that apply, separated by commas."),
    _asked("test", _FLAG, "1: nobody pays, nothing counts."),
]
_IP_DESCRIPTION = (
    "The viewer's address. By default the caller's. A loopback, private, link-local or unspecified one is a 400."
)
_STATED_EVENT = {
    "type": "object",
    "required": ["token"],
    "properties": {
        "token": {
            "type": "string",
            "maxLength": TOKEN_MAX_CHARS,
            "description": "The `t` of an impression or click address; it says itself which of the two it is.",
        },
        "ip": {"type": "string", "description": _IP_DESCRIPTION},
        "ua": {
            "type": "string",
            "maxLength": USER_AGENT_READ_MAX_CHARS,
            "description": "The viewer's user agent. By default the caller's, which mostly is no browser's.",
        },
    },
}
_TOLD_EVENT = {
    "type": "object",
    "required": ["verdict"],
    "properties": {
        "verdict": {
            "type": "string",
            "enum": ["valid", "duplicate", "expired", "forged", "bot", "rate_limited", "test"],
        },
        "kind": {"type": "string", "enum": ["impression", "click"]},
        "landing_url": {"type": "string", "format": "uri", "description": "Of a click: where to send the viewer."},
    },
}
_EVENT_EXAMPLE = {
    "token": "yyRkWw…",
    "ip": "192.0.2.7",
    "ua": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101",
}


def _one_or_many(item: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [item, {"type": "array", "minItems": 1, "maxItems": EVENTS_PER_REQUEST_MAX, "items": item}]}


AD_PATHS: dict[str, dict[str, Any]] = {
    "/ad": {
        "get": {
            "tags": ["Exchange"],
            "operationId": "AskForAd",
            "summary": "An ad for a stored placement",
            "description": (
                "Holds an auction and answers with the ad that won it, with one of the placement's house ads where "
                "nothing was sold, or with 204. The page `/ad.js` is a tag for: "
                '`<script async src=".../ad.js" data-placement="ID"></script>`. `DNT` and `Sec-GPC` are honoured, '
                f"unknown parameters are passed over. An address that asks more than {ADS_PER_IP_MINUTE_MAX} times a "
                "minute gets 429."
            ),
            "parameters": _AD_PARAMETERS,
            "responses": {
                "200": {
                    "description": "The ad.",
                    "headers": {
                        "Gavel-Auction": {"description": "The auction's id.", "schema": {"type": "string"}},
                    },
                    "content": {
                        "application/json": {"schema": _AD_SCHEMA, "example": _AD_EXAMPLE},
                        "text/html": {"schema": {"type": "string"}},
                    },
                },
                "204": {"description": "There is nothing to show. The auction is in the log all the same."},
            },
        }
    },
    "/ad.js": {
        "get": {
            "tags": ["Exchange"],
            "operationId": "AdTag",
            "summary": "The tag for a page",
            "description": (
                "A script that shows an ad where it stands, in a frame that shares nothing with the page. Attributes: "
                "`data-placement`, and as they are known `data-width`, `data-height`, `data-gdpr`, `data-consent`, "
                "`data-coppa`, `data-us-privacy`, `data-gpp`, `data-gpp-sid`, `data-country`, `data-test`."
            ),
            "responses": {"200": {"description": "JavaScript.", "content": {"text/javascript": {}}}},
        }
    },
    "/openrtb2/event": {
        "post": {
            "tags": ["Exchange"],
            "operationId": "RecordEvents",
            "summary": "Impressions and clicks that a server reports",
            "description": (
                "For players with server-side ad insertion and for apps: one event, or a list of at most "
                f"{EVENTS_PER_REQUEST_MAX}, each judged by the viewer's address and user agent. The answer has the "
                "form of the body. A single forged token is a 400, in a list it is a verdict. A list that was answered "
                "503 can be sent again: what was logged before is a duplicate then.\n\nNo access key is needed, but "
                "without one all events count against the caller's own address, like the pixels that it fetches: "
                f"{ENGAGEMENTS_PER_IP_MINUTE_MAX} a minute, fewer on one ad. With a key of the publisher whose "
                "inventory the token names, or of the role admin, they count against the address that is stated, if "
                "there is one. A key that is not valid is a 401."
            ),
            "security": [{}, {"accessKey": ["publisher"]}, {"accessKey": ["admin"]}],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _one_or_many(_STATED_EVENT), "example": _EVENT_EXAMPLE}},
            },
            "responses": {
                "200": {
                    "description": "Everything is in the log, with these verdicts.",
                    "content": {
                        "application/json": {
                            "schema": _one_or_many(_TOLD_EVENT),
                            "example": {"verdict": "valid", "kind": "impression"},
                        }
                    },
                }
            },
        }
    },
}
