"""What the exchange sends, held against JSON Schemas (draft 2020-12) written from the tables of OpenRTB 2.6.

The schemas forbid no unknown field and no unknown code of an open list, as the specification demands; of what Gavel
itself writes they are strict. What no schema can say (which bidder is told what, and when) is left to the scenarios.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
from jsonschema import Draft202012Validator

Sent = Literal["bid_request", "bid_response", "notice"]


def schema_faults(sent: Sent, value: Any) -> list[str]:
    """What is wrong with a decoded message, each with the path to it; empty for a good one."""
    return [f"{sent} {error.json_path}: {error.message}" for error in _validator(sent).iter_errors(value)]


@cache
def schema(sent: Sent) -> dict[str, Any]:
    return msgspec.json.decode(Path(__file__).with_name(f"{sent}.json").read_bytes(), type=dict[str, Any])


@cache
def _validator(sent: Sent) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema(sent))
    return Draft202012Validator(schema(sent), format_checker=Draft202012Validator.FORMAT_CHECKER)
