"""The broker's log on standard error or in a file: one line for each event, as text or as JSON.

Text is ``2026-11-28T14:46:18.123+01:00 INFO groups: …``; control characters of a message are
escaped, so that nobody can forge a line, and a traceback follows on lines of its own. A line of
JSON has ``time`` (UTC), ``level``, ``area``, ``message``, ``traceback`` where there is one, and
what the event was told with (``topic``, ``group``, ``request_id`` …) under its own name.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
import time
from typing import TextIO

from tidelog.broker.log_levels import AREAS, LogLevels
from tidelog.broker.settings.broker_settings import BrokerSettings

PREFIX = "tidelog."
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_log = logging.getLogger("tidelog.broker")


class CannotLog(Exception):
    """The file of ``log.file`` cannot be written."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot write the log to {path}: {reason}; --set log.file= names another")
        self.path = path
        self.reason = reason


class TextLines(logging.Formatter):
    """For people; times are local, with their zone."""

    def format(self, record: logging.LogRecord) -> str:
        local = time.localtime(record.created)
        zone = time.strftime("%z", local)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", local)
        milliseconds = int(record.created * 1000) % 1000
        line = (
            f"{moment}.{milliseconds:03d}{zone[:3]}:{zone[3:5]} {record.levelname} "
            f"{_area(record)}: {_CONTROL.sub(_escaped, record.getMessage())}"
        )
        trace = _traceback(self, record)
        return f"{line}\n{trace}" if trace else line


class JsonLines(logging.Formatter):
    """For programs; times are UTC."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields: dict[str, object] = {
            "time": f"{moment}.{int(record.created * 1000) % 1000:03d}Z",
            "level": record.levelname.lower(),
            "area": _area(record),
            "message": record.getMessage(),
        }
        given = vars(record).items()
        fields |= {name: value for name, value in given if name not in _OF_EVERY_RECORD}
        trace = _traceback(self, record)
        if trace:
            fields["traceback"] = trace
        return json.dumps(fields, default=str, separators=(",", ":"))


_FORMATTERS = {"text": TextLines, "json": JsonLines}


def _area(record: logging.LogRecord) -> str:
    return record.name.removeprefix(PREFIX)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""


class BrokerLog(logging.StreamHandler[TextIO]):
    """Of the whole process; whatever is wrong with where it goes, the broker lives on."""

    def __init__(self, settings: BrokerSettings) -> None:
        """Takes over all logging. Raises CannotLog."""
        self._path: str = settings["log.file"]
        super().__init__(self._open())
        logging.raiseExceptions = False
        logging.getLogger().handlers = [self]
        self.use(settings)

    def _open(self) -> TextIO:
        if not self._path:
            return sys.stderr
        try:
            return open(
                os.path.expanduser(self._path), "a", encoding="utf-8", errors="backslashreplace"
            )
        except OSError as error:
            raise CannotLog(self._path, error.strerror or str(error)) from error

    def use(self, settings: BrokerSettings) -> None:
        """Take another format and other levels."""
        self.setFormatter(_FORMATTERS[settings["log.format"]]())
        set_levels(settings.log_levels)

    def reopen(self) -> None:
        """Go on in the file that now has the name: the other one was put away.

        What cannot be opened leaves the log where it is, and is told there.
        """
        if not self._path:
            return
        try:
            new = self._open()
        except CannotLog as error:
            _log.error("%s", error)
            return
        self.acquire()
        old, self.stream = self.stream, new
        self.release()
        with contextlib.suppress(OSError):
            # What a full disk did not take.
            old.close()

    def close(self) -> None:
        """The file too, where it is ours."""
        super().close()
        if self._path:
            with contextlib.suppress(OSError):
                self.stream.close()


def set_levels(levels: LogLevels) -> None:
    """Of every area; what is no area of ours, as asyncio, has the common level."""
    logging.getLogger().setLevel(levels.default.upper())
    for area in AREAS:
        level = levels.areas.get(area)
        logging.getLogger(PREFIX + area).setLevel(level.upper() if level else logging.NOTSET)
