"""The log of a service: a line per event, for people or for machines. Source: FR-009."""

from __future__ import annotations

import datetime as dt
import json
import logging
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What every record has; anything else was said by who logged it.
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "taskName",
}
#: No line that begins otherwise is a line of its own, whatever stands in an error's text.
_INDENT: Final = "    "


class LineFormatter(logging.Formatter):
    """Writes a record as one line: when, how bad, whose, what, and all its facts."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`; a traceback follows on lines of its own, indented."""
        data = _facts(record)
        said = "".join(f" {name}={_shown(value)}" for name, value in data.items())
        text = _one_line(record.getMessage())
        line = f"{_when(record)} {record.levelname.lower()} {record.name} {text}{said}"
        if not record.exc_info:
            return line
        return f"{line}\n{textwrap.indent(self.formatException(record.exc_info), _INDENT)}"


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object: time, level, logger, event, and its facts."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        data: dict[str, Any] = {
            "time": _when(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            data["traceback"] = self.formatException(record.exc_info)
        return json.dumps(data, default=str)


class _SessionFilter(logging.Filter):
    """Adds the session whose call logs, where the record does not say it itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "session_id"):
            from transports.rpc.sessions import current_session_id

            session_id = current_session_id()
            if session_id:
                record.session_id = session_id
        return True


@contextmanager
def logging_lines(*, as_json: bool, debug: bool) -> Iterator[None]:
    """Write the log to standard error meanwhile.

    Args:
        as_json: as JSON objects.
        debug: all of it; else from INFO on.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if as_json else LineFormatter())
    handler.addFilter(_SessionFilter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


def _when(record: logging.LogRecord) -> str:
    return dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")


def _shown(value: Any) -> str:
    text = str(value)
    return text if text and text.isprintable() and not set(text) & set(' "=') else json.dumps(text)


def _one_line(text: str) -> str:
    # What a client named must not look like another line of the log.
    return text if text.isprintable() else text.encode("unicode_escape").decode()
