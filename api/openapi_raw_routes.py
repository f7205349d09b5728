"""What the OpenAPI document says about the routes below the framework."""

from __future__ import annotations

from typing import Any

_BID_REQUEST_EXAMPLE = {
    "id": "80ce30c53c16e6ede735f123ef6e32361bfc7b22",
    "at": 2,
    "cur": ["USD"],
    "tmax": 150,
    "imp": [{"id": "1", "bidfloor": 0.5, "banner": {"format": [{"w": 300, "h": 250}]}}],
    "site": {"id": "102855", "domain": "www.example.com", "page": "https://www.example.com/news"},
    "device": {"ua": "Mozilla/5.0", "ip": "192.0.2.1", "geo": {"country": "USA"}},
}
_BID_RESPONSE_EXAMPLE = {
    "id": "80ce30c53c16e6ede735f123ef6e32361bfc7b22",
    "cur": "USD",
    "seatbid": [
        {
            "bid": [
                {
                    "id": "1",
                    "impid": "1",
                    "price": 0.76,
                    "adm": "<a href='…'><img src='…'></a>",
                    "ext": {
                        "gavel": {
                            "auction_id": "01936f2a-5c1e-7cc3-98c4-dc0c0c07398f",
                            "impression_url": "https://ads.example/impression?t=…",
                            "click_url": "https://ads.example/click?t=…",
                        }
                    },
                }
            ]
        }
    ],
}
_TOKEN = {
    "name": "t",
    "in": "query",
    "required": True,
    "description": "The signed token that the award put into the markup.",
    "schema": {"type": "string", "maxLength": 2048},
}
_OPENRTB_VERSION = {
    "name": "x-openrtb-version",
    "in": "header",
    "description": "The sender's version; every 2.x is understood.",
    "schema": {"type": "string", "examples": ["2.6"]},
}
_CONTENT_ENCODING = {
    "name": "Content-Encoding",
    "in": "header",
    "schema": {"type": "string", "enum": ["identity", "gzip"]},
}
_AUCTION_HEADERS = {
    "Gavel-Auction": {"description": "The auction's id: its key in the log.", "schema": {"type": "string"}},
    "x-openrtb-version": {"schema": {"type": "string", "const": "2.6"}},
}

RAW_PATHS: dict[str, dict[str, Any]] = {
    "/openrtb2/auction": {
        "post": {
            "tags": ["Exchange"],
            "operationId": "HoldAuction",
            "summary": "Hold an auction",
            "description": (
                "An OpenRTB 2.6 bid request, at most 256 KiB decompressed; gzip is understood both ways and unknown "
                "fields are handed on to bidders. Everything that an answer promises is in the log before it is sent. "
                "`test: 1` adds `ext.debug` and is never billed; of campaigns of the exchange's own it tells the one "
                "that won alone. A request that breaks a rule is answered with the path of every fault, "
                "an address that asks more often than `GAVEL_AUCTIONS_PER_ADDRESS_MINUTE` allows with 429."
            ),
            "parameters": [_OPENRTB_VERSION, _CONTENT_ENCODING],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "description": "BidRequest of OpenRTB 2.6.",
                            "required": ["id", "imp"],
                            "properties": {
                                "id": {"type": "string", "minLength": 1, "maxLength": 256},
                                "imp": {
                                    "type": "array",
                                    "minItems": 1,
                                    "maxItems": 64,
                                    "items": {"type": "object", "required": ["id"]},
                                },
                            },
                        },
                        "example": _BID_REQUEST_EXAMPLE,
                    }
                },
            },
            "responses": {
                "200": {
                    "description": "At least one imp was sold. `price` is the clearing price.",
                    "headers": _AUCTION_HEADERS,
                    "content": {
                        "application/json": {
                            "schema": {"type": "object", "description": "BidResponse of OpenRTB 2.6."},
                            "example": _BID_RESPONSE_EXAMPLE,
                        }
                    },
                },
                "204": {"description": "No bid. The auction is in the log all the same.", "headers": _AUCTION_HEADERS},
            },
        }
    },
    "/impression": {
        "get": {
            "tags": ["Exchange"],
            "operationId": "RecordImpression",
            "summary": "The pixel",
            "description": "Always the GIF, whatever is decided about counting; 503 only if it could not be kept.",
            "parameters": [_TOKEN],
            "responses": {"200": {"description": "One transparent pixel of 43 bytes.", "content": {"image/gif": {}}}},
        }
    },
    "/click": {
        "get": {
            "tags": ["Exchange"],
            "operationId": "RecordClick",
            "summary": "The redirect to the landing page",
            "description": "Leads to the landing page inside the token and nowhere else; a forged token is a 400.",
            "parameters": [_TOKEN],
            "responses": {
                "302": {
                    "description": "To the landing page.",
                    "headers": {"Location": {"schema": {"type": "string", "format": "uri"}}},
                }
            },
        }
    },
    "/v1/live": {
        "get": {
            "tags": ["Operations"],
            "operationId": "LiveFigures",
            "summary": "Figures of the last second, as server-sent events",
            "description": "One JSON object a second. The stream ends after 15 minutes: connect again.",
            "responses": {"200": {"description": "An endless stream.", "content": {"text/event-stream": {}}}},
        }
    },
}
