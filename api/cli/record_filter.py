"""Which records are wanted: regular expressions on keys, values and headers.

RE2, found anywhere in the bytes: it takes time linear in them, whatever the expression.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tidelog.api.cli.failures import UsedWrongly
from tidelog.api.cli.shown_records import Shown, headers_of, key_of, value_of


class Expressions(NamedTuple):
    """As they are given; all have to match."""

    key: str | None = None
    value: str | None = None
    headers: Sequence[str] = ()
    """``NAME=EXPRESSION``: one header of that name matches; ``NAME``: there is one."""


class RecordFilter:
    """Records without what an expression is about do not match."""

    def __init__(self, given: Expressions) -> None:
        """Raises UsedWrongly."""
        self._key = _compiled("--match-key", given.key)
        self._value = _compiled("--match-value", given.value)
        self._headers = []
        for pair in given.headers:
            name, equals, text = pair.partition("=")
            expression = _compiled("--match-header", text if equals else None)
            self._headers.append((os.fsencode(name), expression))
        self.takes_all = given == Expressions()

    def wanted(self, records: Iterable[Shown]) -> list[Shown]:
        """In their order."""
        return [*records] if self.takes_all else [one for one in records if self._is_wanted(one)]

    def _is_wanted(self, record: Shown) -> bool:
        if not (_matches(self._key, key_of(record)) and _matches(self._value, value_of(record))):
            return False
        if not self._headers:
            return True
        headers = headers_of(record)
        return all(
            any(one.name == name and _matches(expression, one.value) for one in headers)
            for name, expression in self._headers
        )


def _compiled(option: str, text: str | None) -> Any:
    if text is None:
        return None
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(os.fsencode(text), options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        shown = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
        raise UsedWrongly(f"{option} {text!a} is not a regular expression: {shown}") from None


def _matches(expression: Any, content: bytes | None) -> bool:
    if expression is None:
        return True
    return content is not None and expression.search(content) is not None
