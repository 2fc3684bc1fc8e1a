"""Regular expressions of subscriptions (KIP-848): RE2, matched against whole topic names.

RE2 takes time linear in the name, whatever a client sends.
"""

from __future__ import annotations

from collections.abc import Iterable

from tidelog.consumer_groups.errors import InvalidRegularExpression


def matching(regex: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names that match as a whole, sorted. Raises InvalidRegularExpression."""
    # Few groups use this, and the import costs every start.
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(regex, options)
    except re2.error as error:
        raise InvalidRegularExpression(regex, _text(error)) from error
    return tuple(sorted(name for name in names if pattern.fullmatch(name)))


def _text(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
