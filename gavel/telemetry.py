"""Logs: structured, one line each, to standard error."""

from __future__ import annotations

import logging
import math
import sys
from typing import Final

import structlog

REPEAT_AFTER_SECONDS: Final = 10.0


def configure_logging(level: str, *, process: str) -> None:
    """Human-readable on a terminal, JSON elsewhere; libraries' own loggers go the same way."""
    minimum = logging.getLevelNamesMapping()[level.upper()]
    on_terminal = sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info if not on_terminal else _as_is,
    ]
    renderer: structlog.typing.Processor = (
        # No local variables: they may hold keys and people's data.
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.RichTracebackFormatter(show_locals=False))
        if on_terminal
        else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=minimum, force=True)
    handler.addFilter(Repetitions("aiokafka"))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(minimum),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)


class Repetitions(logging.Filter):
    """Passes each message of a library once in a while: aiokafka reports an absent broker many times a second."""

    def __init__(self, library: str) -> None:
        super().__init__()
        self._library = library
        self._passed_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(self._library):
            return True
        template = str(record.msg)
        is_due = record.created - self._passed_at.get(template, -math.inf) >= REPEAT_AFTER_SECONDS
        if is_due:
            self._passed_at[template] = record.created
        return is_due


def _as_is(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """The console renderer draws exceptions itself."""
    return event
