"""How commands fail: each failure is told in one sentence, with its exit status."""

from __future__ import annotations

import json
from typing import Any

_FOREIGN_CHARACTERS_MAX = 200
"""How much is shown of an answer that is none of a broker's."""
_UNAUTHORIZED = 401


class CommandFailed(Exception):
    """What a person is told in one sentence."""

    exit_status = 1


class UsedWrongly(CommandFailed):
    """The command line itself is wrong; nothing was tried."""

    exit_status = 2


class NoAnswer(CommandFailed):
    """No whole answer came; ``sent``: the broker may have got the request all the same."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Refused(CommandFailed):
    """The broker's own error."""

    def __init__(self, status: int, code: str, message: str, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details


def refused(status: int, content: bytes, location: str | None = None) -> Refused:
    """The error that an answer, or a line of it, tells; ``location`` is where it sends on to."""
    try:
        error = json.loads(content)["error"]
        code, message, details = error["code"], error["message"], error["details"]
        if code == "unknown_topic":
            message = f"there is no topic {details['topic']!r}; 'tidelog topic list' shows them all"
        if code in ("unreadable_batch", "corrupt_batch") and "next_offset" in details:
            offsets = f"offsets {details['offset']} to {details['next_offset'] - 1}"
            place = f"{details['topic']}-{details['partition']}"
            message = (
                f"{offsets} of {place} cannot be read: {details['reason']}; "
                "--skip-corrupt leaves them out"
            )
        return Refused(status, code, message, details)
    except (ValueError, KeyError, TypeError, RecursionError):
        text = " ".join(content.decode(errors="replace").split())[:_FOREIGN_CHARACTERS_MAX]
        hint = ""
        if location is not None:
            hint = f"; it sends on to {' '.join(location.split())}"
        elif status == _UNAUTHORIZED:
            hint = "; --token or TIDELOG_TOKEN gives the token it asks for"
        return Refused(status, "unknown", f"HTTP {status}: {text}{hint}", {})
