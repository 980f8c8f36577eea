"""Structured logs: one JSON object a line, time from an injected clock, secrets kept out."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import TextIO

from hansa.core.clock import Clock

_SECRET = re.compile(r"secret|password|passphrase|private|mnemonic|credential|token|seed|(^|_)key$", re.IGNORECASE)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Turns a record into {"time", "level", "logger", "event", ...}: what was passed as `extra` becomes fields of its own.

    Fields whose name speaks of a secret are replaced; bytes are shown by their first four bytes and length, enough to recognise a digest.
    """

    def __init__(self, clock: Clock, **fields: object) -> None:
        super().__init__()
        self._clock = clock
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        for name, value in {**self._fields, **extra}.items():
            line[name] = _shown(name, value)
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=_plain)


def _shown(name: str, value: object) -> object:
    if _SECRET.search(name):
        return "[secret]"
    if isinstance(value, dict):
        return {str(inner): _shown(str(inner), item) for inner, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(name, item) for item in value]
    return value


def _plain(value: object) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{bytes(value[:4]).hex()}... ({len(value)} bytes)"
    return str(value)


def set_up(clock: Clock, stream: TextIO, *, level: str = "INFO", **fields: object) -> logging.Handler:
    """Send the records of every `hansa` logger to `stream` as JSON lines that carry `fields` (node, role, ...); replaces an earlier one."""
    logger = logging.getLogger("hansa")
    for old in list(logger.handlers):
        logger.removeHandler(old)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(clock, **fields))
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    return handler
