"""What the independent script makes of files and of the log, from examples counted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.refeed import Files, Log, digest, sums

BULK = (
    b'{"key":"a","value":{"n":1}}\n'
    b'{"key":"b","value":{"n":2}}\n'
    b"no JSON\n"
    b'{"key":"","value":{}}\n'
    b'{"key":"b","value":{"n":3}}\n'
    b'{"key":"c","value":{"n":4}}\n'
)
CHANGES = (
    b'{"op":"add","key":"a","value":{"n":10}}\n'
    b'{"op":"rename","key":"a","value":{}}\n'
    b'{"op":"update","old_key":"c","key":"d","value":{"n":11}}\n'
    b'{"op":"delete","key":"nobody"}\n'
)


def files(folder: Path, changes_before_the_bulk: int) -> Files:
    bulk, changes = folder / "bulk.ndjson", folder / "changes.ndjson"
    bulk.write_bytes(BULK)
    changes.write_bytes(CHANGES)
    return Files(str(bulk), str(changes), changes_before_the_bulk)


def event(kind: str, **told: Any) -> dict[str, Any]:
    return {"type": f"feed_{kind}", **told}


def logged(*events: dict[str, Any]) -> Log:
    log = Log()
    for offset, each in enumerate(events):
        log.take(offset, each)
    return log


def test_changes_after_its_start_win_over_a_bulk(tmp_path: Path) -> None:
    """And those from before it lose: of what they moved the bulk brings the old key back."""
    after = files(tmp_path, 0)
    assert after.records == {"a": digest({"n": 10}), "b": digest({"n": 3}), "d": digest({"n": 11})}
    before = files(tmp_path, 3)
    assert before.records == {
        "a": digest({"n": 1}),
        "b": digest({"n": 3}),
        "c": digest({"n": 4}),
        "d": digest({"n": 11}),
    }
    assert (after.good_lines, after.bad_lines, after.changes, after.bad_changes) == (4, 2, 3, 1)
    assert after.known == {"a", "b", "c", "d", "nobody"}


def test_what_was_sent_again_counts_once() -> None:
    """Lines of a bulk by their number, changes by their source; where a bulk was started its opening tells."""
    source = {"name": "upload/1", "place": 1}
    changes = (
        event("record_added", key="a", source=source),
        event("load_started", run_id="r"),
        event("record_added", key="a", source=source),
        event("load_started", run_id="r"),
        event("changes_received", records=1, rejected=2, source=source | {"place": 2}),
        event("changes_received", records=1, rejected=2, source=source | {"place": 2}),
    )
    bulk = (
        event("load_opened", run_id="r", since=1),
        *(event("record_loaded", line=line) for line in (1, 2, 1, 2, 3)),
        event("load_received", records=3, rejected=4),
    )
    log = logged(*changes, *bulk)
    assert (log.changes, log.new_changes, log.changes_before_the_bulk) == (2, 1, 1)
    assert (log.bulk, log.lines, log.refused, log.marks) == (5, 3, 6, 6)


def test_every_sum_that_is_wrong_is_told(tmp_path: Path) -> None:
    """One record too few in the audit, and one line that never came to the log."""
    log = logged(
        event("load_started"),
        event("load_opened", since=0),
        *(event("record_loaded", line=line) for line in (1, 2, 5)),
        *(event("record_added") for _ in range(3)),
        event("load_received", records=3, rejected=3),
    )
    outcomes = dict.fromkeys(("overwrites", "updates", "deletes", "stale", "rejected"), 0)
    audit = {
        "totals": {"adds": 5, "marks": 3, "refused": 3, **outcomes},
        "topics": {"bulk": {"records": 2}, "changes": {"records": 3}},
        "pending": 0,
    }
    assert list(sums(log, files(tmp_path, 0), audit)) == [
        "lines of the bulk that the log has: 4 and 3",
        "records of the bulk that the audit sums up: 3 and 2",
        "outcomes of all records: 6 and 5",
    ]
