"""The depth of JSON, against a plain count over the decoded value."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from domain.openrtb.nesting import nests_deeper_than

texts = st.text(alphabet='[]{}"\\ax', max_size=8)
values = st.recursive(
    texts | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=40,
)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(values)
def test_depth_is_exact(value: Any) -> None:
    """Brackets, quotes and backslashes inside texts neither add to the depth nor hide it."""
    body = msgspec.json.encode(value)
    assert not nests_deeper_than(depth(value), body)
    assert depth(value) == 0 or nests_deeper_than(depth(value) - 1, body)


def test_texts_cannot_close_what_is_open() -> None:
    """A body made to look flat to a counter of brackets is seen through."""
    body = b'["]",' * 40 + b'"' + b"[" * 40 + b'"' + b"]" * 40
    assert depth(msgspec.json.decode(body)) == 40
    assert nests_deeper_than(39, body)
    assert not nests_deeper_than(40, body)


def test_a_text_may_end_with_a_backslash() -> None:
    """An escaped backslash does not escape the quote behind it."""
    assert not nests_deeper_than(1, rb'["\\","[[["]')
    assert nests_deeper_than(1, rb'["\\",["\""]]')
