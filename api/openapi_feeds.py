"""What the OpenAPI document says about uploads of feeds, whose bodies are streams."""

from __future__ import annotations

from typing import Any, Final

from api.write.feeds import AVRO, MODES, NDJSON
from domain.limits import FEED_BACKLOG_MAX_RECORDS, FEED_RECORD_MAX_BYTES, FEED_REJECTED_LISTED_MAX

_CLIENT: Final = {
    "name": "client",
    "in": "path",
    "required": True,
    "description": "The feed client's name.",
    "schema": {"type": "string"},
    "example": "winter-audiences",
}
_ENCODING: Final = {
    "name": "Content-Encoding",
    "in": "header",
    "schema": {"type": "string", "enum": ["identity", "gzip", "zstd"]},
}
_MODE: Final = {
    "name": "mode",
    "in": "query",
    "description": (
        "`merge` adds, and overwrites where the key exists. `replace` takes the place of all that is there: once it "
        "is published, keys that it does not have are gone. What `merge` brings can be read as soon as it is applied, "
        "and stays where the load fails or is superseded; only what replaces is seen as a whole or not at all."
    ),
    "schema": {"type": "string", "enum": list(MODES), "default": "merge"},
}
_NAME: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Names the load: sent again in full after it was cut off, it goes on behind what has arrived.",
    "schema": {"type": "string", "maxLength": 255},
}
_NAME_OF_CHANGES: Final = {
    **_NAME,
    "description": "Names the upload: sent again in full, what it has told before has no second effect.",
}
_COLUMNS: Final = [
    {
        "name": "key_column",
        "in": "query",
        "description": "Of Debezium's envelopes: the column of the record's key.",
        "schema": {"type": "string", "default": "key"},
    },
    {
        "name": "value_column",
        "in": "query",
        "description": "Of Debezium's envelopes: the column of the value; without it all columns but the key's.",
        "schema": {"type": "string"},
    },
]
_RECORDS: Final = '{"key": "u-1", "value": {"segments": ["skiers"]}}\n{"key": "u-2", "value": {"segments": []}}\n'
_CHANGES: Final = (
    '{"op": "add", "key": "u-3", "value": {"segments": ["skiers"]}}\n'
    '{"op": "update", "old_key": "u-1", "key": "u-9", "value": {"segments": ["skiers"]}}\n'
    '{"op": "delete", "key": "u-2"}\n'
)
_RECEIVED_PROPERTIES: Final = {
    "received": {"type": "integer", "description": "Records that are in the log."},
    "rejected": {"type": "integer", "description": "Lines that are not."},
    "errors": {
        "type": "array",
        "maxItems": FEED_REJECTED_LISTED_MAX,
        "items": {
            "type": "object",
            "required": ["line", "reason"],
            "properties": {"line": {"type": "integer"}, "reason": {"type": "string"}},
        },
    },
}
_REFUSALS: Final = {
    "400": "It cannot be read to its end, or a parameter is none. What it had before is in the log.",
    "404": "There is no such client, or it is somebody else's.",
    "408": "Too little came of it for too long; `run_id`, `received` and `rejected` tell how much is in the log.",
    "409": "The client is paused, archived or erased, or the load is over: it has failed, or a later one has begun.",
    "413": "It grows by unpacking as no records do.",
    "415": "It has another form or encoding than those named here.",
    "422": "The `Idempotency-Key` was used for another upload.",
    "503": "Too much is still to be applied, a load before it is not decided, as many uploads are being sent as there "
    "may be, Redis has no room for records, or a server is away: try again as told. In the middle of an upload "
    "`run_id`, `received` and `rejected` tell how much is in the log.",
}
_HOW: Final = (
    f"One JSON object a line, {FEED_RECORD_MAX_BYTES} bytes at most, or an Avro container file; any length, streamed. "
    f"A bad line costs itself alone: the first {FEED_REJECTED_LISTED_MAX} are told. With more than "
    f"{FEED_BACKLOG_MAX_RECORDS} records still to be applied, or a Redis without room (deletions are taken all the "
    "same), 503 with `Retry-After`. "
    "An upload that cannot be read to its end is a 400, one that grows by unpacking as no records do a 413, another "
    "form a 415; what it had before is in the log, and the problem has its `run_id`, `received` and `rejected` as well."
)


def _upload(
    operation_id: str, summary: str, description: str, parameters: list[dict[str, Any]], *, example: str, run_id: str
) -> dict[str, Any]:
    """`run_id` says what that of the answer is good for."""
    properties = {"run_id": {"type": "string", "description": run_id}, **_RECEIVED_PROPERTIES}
    schema = {"type": "object", "required": [*properties], "properties": properties}
    form = {"schema": {"type": "string", "format": "binary"}}
    received = {"run_id": "01936f2a5c1e7cc398c4dc0c0c07398f", "received": 2, "rejected": 0, "errors": []}
    return {
        "tags": ["Feeds"],
        "operationId": operation_id,
        "summary": summary,
        "description": f"{description} {_HOW}",
        "parameters": [_CLIENT, *parameters, _ENCODING],
        "requestBody": {"required": True, "content": {NDJSON[0]: {**form, "example": example}, AVRO[0]: form}},
        "responses": {
            "202": {
                "description": "All that is counted as received is in the log.",
                "content": {"application/json": {"schema": schema, "example": received}},
            },
            **{
                status: {"$ref": "#/components/responses/Problem", "description": why}
                for status, why in _REFUSALS.items()
            },
        },
    }


FEED_PATHS: Final[dict[str, dict[str, Any]]] = {
    "/v1/feeds/{client}/bulk": {
        "post": _upload(
            "LoadFeed",
            "Load many records",
            "Of two loads of a client the one that was begun later counts; the earlier one is a 409 where it is still "
            "being sent, and `superseded`; one that was received in full is decided before the next is begun. Whether "
            "a load is published is decided once it is applied: ask its run.",
            [_MODE, _NAME],
            example=_RECORDS,
            run_id="Names the load: ask `/v1/feeds/{client}/runs/{run_id}` what has become of it.",
        )
    },
    "/v1/feeds/{client}/changes": {
        "post": _upload(
            "ChangeFeed",
            "Change records one by one",
            "Applied in their order, and over any load that was begun before. Sent again without a name, they are "
            "applied again. Envelopes of Debezium's connectors are understood as well.",
            [_NAME_OF_CHANGES, *_COLUMNS],
            example=_CHANGES,
            run_id="Names the upload in the log, as the cause of each of its changes. It is no load and has no run.",
        )
    },
}
