"""Logs say a thing once, not hundreds of times."""

from __future__ import annotations

import logging

from gavel.telemetry import REPEAT_AFTER_SECONDS, Repetitions


def record(name: str, message: str, at: float) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.ERROR, "file.py", 1, message, (at,), None)
    made.created = at
    return made


def test_a_librarys_repetitions_are_left_out() -> None:
    """The same message of the library comes once in a while, other messages and other loggers always."""
    passes = Repetitions("aiokafka").filter
    assert passes(record("aiokafka.conn", "unable to connect %s", 0.0))
    assert not passes(record("aiokafka.conn", "unable to connect %s", 1.0))
    assert passes(record("aiokafka.conn", "another thing %s", 1.0))
    assert passes(record("commands.kafka_log", "unable to connect %s", 1.0))
    assert passes(record("commands.kafka_log", "unable to connect %s", 1.0))
    assert passes(record("aiokafka.conn", "unable to connect %s", REPEAT_AFTER_SECONDS))
