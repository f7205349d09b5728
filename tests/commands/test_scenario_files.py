"""The scenarios leave out no code that the exchange can give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.openrtb.codes import Code, LossReason, NonBidStatus
from tests.commands.auction_scenario import read_scenario, scenario_files

ROOT = Path(__file__).parents[2]


def codes_given(kind: type[Code]) -> set[Code]:
    """Those that the domain and the commands name."""
    sources = [path for package in ("domain", "commands") for path in (ROOT / package).rglob("*.py")]
    named = {name for path in sources for name in re.findall(rf"\b{kind.__name__}\.([A-Z_]+)\b", path.read_text())}
    return {kind[name] for name in named}


def codes_expected(value: Any) -> Iterator[int]:
    """Those that stand in a scenario's `expected`."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in {"code", "statuscode"}:
                yield each
            elif name == "others":
                yield from (code for _, code in each)
            else:
                yield from codes_expected(each)
    elif isinstance(value, list):
        for each in value:
            yield from codes_expected(each)


@pytest.mark.parametrize("kind", [LossReason, NonBidStatus])
def test_every_code_has_its_scenario(kind: type[Code]) -> None:
    """Whoever lets the exchange give a further code tells the auction in which it does."""
    told = {code for path in scenario_files() for code in codes_expected(read_scenario(path).expected)}
    assert sorted(code.name for code in codes_given(kind) if code not in told) == []
