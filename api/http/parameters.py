"""Parameters of a request: the query's text, and numbers and words in it, taken strictly.

A query is text in UTF-8, percent-encoded, with ``+`` for a space. What is not is refused by the
parameter's name, and so are numbers in any form but digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from urllib.parse import unquote_to_bytes

from tidelog.api.errors import ApiError

BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
"""Percent-encoding that is none."""
_DIGITS_MAX = 19


def parse_query(query_string: bytes) -> list[tuple[str, str]]:
    """Names and values in order. Raises ApiError naming what is not text."""
    pairs = []
    for field in query_string.split(b"&"):
        if field:
            name, _, value = field.partition(b"=")
            pairs.append((_text(name, name), _text(value, name)))
    return pairs


def known_parameters(
    query_string: bytes, known: Collection[str], *, prefix: str = ""
) -> dict[str, str]:
    """Values by name; further names may begin with ``prefix``.

    Raises ApiError for one that is unknown, repeated or no text.
    """
    found: dict[str, str] = {}
    for name, value in parse_query(query_string):
        if name not in known and not (prefix and name.startswith(prefix)):
            there_are = f"known are {', '.join(sorted(known))}" if known else "there are none here"
            message = f"unknown query parameter {name!r}; {there_are}"
            raise ApiError(422, "unknown_parameter", message, parameter=name)
        if name in found:
            raise invalid_parameter(name, "is given twice")
        found[name] = value
    return found


def _text(raw: bytes, name: bytes) -> str:
    try:
        if b"%" in raw or b"+" in raw:
            if BROKEN_ESCAPE.search(raw):
                reason = "has a % without two hexadecimal digits after it"
                raise invalid_parameter(_shown(name), reason)
            raw = unquote_to_bytes(raw.replace(b"+", b" "))
        return raw.decode()
    except UnicodeDecodeError:
        reason = "is not text in UTF-8; where bytes are meant, a JSON body takes them as base64"
        raise invalid_parameter(_shown(name), reason) from None


def _shown(name: bytes) -> str:
    return unquote_to_bytes(name).decode(errors="backslashreplace")


def invalid_parameter(name: str, reason: str) -> ApiError:
    """The answer to a parameter that cannot be used."""
    return ApiError(422, "invalid_parameter", f"query parameter {name!r} {reason}", parameter=name)


def is_whole_number(text: str) -> bool:
    """Whether it is a number that fits 64 bits or nearly so, in ASCII digits and nothing else."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX


def is_integer(text: str) -> bool:
    """As ``is_whole_number``, or with a minus before it; 0 has none."""
    digits = text.removeprefix("-")
    return is_whole_number(digits) and (digits == text or int(digits) > 0)


def whole_number(query: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    """A number from the query within bounds. Raises ApiError naming them."""
    text = query.get(name)
    if text is None:
        return default
    if not is_whole_number(text) or not low <= int(text) <= high:
        message = f"{name} must be a whole number from {low} to {high}, not {text!r}"
        raise ApiError(422, "invalid_parameter", message, parameter=name)
    return int(text)


def quantity(
    query: dict[str, str], name: str, parse: Callable[[str], int], default: int, low: int, high: int
) -> int:
    """As ``whole_number``, or a number with a unit that ``parse`` knows. Raises ApiError."""
    text = query.get(name)
    if text is None or is_whole_number(text):
        return whole_number(query, name, default, low, high)
    try:
        return whole_number({name: str(parse(text))}, name, default, low, high)
    except ValueError as error:
        message = f"{name} must be a whole number from {low} to {high}, or with a unit: {error}"
        raise ApiError(422, "invalid_parameter", message, parameter=name) from None


def one_of(query: dict[str, str], name: str, choices: tuple[str, ...]) -> str:
    """One of ``choices`` from the query, the first by default. Raises ApiError."""
    value = query.get(name, choices[0])
    if value not in choices:
        message = f"{name} must be one of {', '.join(choices)}, not {value!r}"
        raise ApiError(422, "invalid_parameter", message, parameter=name)
    return value
