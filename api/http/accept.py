"""Which form of an answer a request wants: the header Accept, by RFC 9110 12.5.1.

The most specific range that fits a form gives its weight; the form of the largest weight is
taken, among equals the one named most precisely, then the one named first, then the one that
comes first here. A part that is no media range is passed over, and where there is no range at
all everything is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from tidelog.api.errors import ApiError

_CACHED_BYTES_MAX = 256
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = rf'{_TOKEN}|"(?:[^"\\]|\\.)*"'
_PART = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_ONE_PARAMETER = rf"{_TOKEN}[ \t]*=[ \t]*(?:{_VALUE})[ \t]*"
_RANGE = re.compile(rf"[ \t]*({_TOKEN})(?:/({_TOKEN}))?[ \t]*((?:;[ \t]*(?:{_ONE_PARAMETER})?)*)")
_PARAMETERS = re.compile(rf";[ \t]*({_TOKEN})[ \t]*=[ \t]*({_VALUE})")
_WEIGHT = re.compile(r"[01](?:\.[0-9]*)?|\.[0-9]+")
_ANY, _ANY_SUBTYPE, _WITH_PARAMETERS, _EXACT = range(4)


class MediaRange(NamedTuple):
    """One part of the header; ``precision`` orders ranges that fit the same form."""

    type: str
    subtype: str
    weight: float
    precision: int

    def fits(self, form: str) -> bool:
        kind, _, subtype = form.partition("/")
        return self.type in ("*", kind) and self.subtype in ("*", subtype)


def negotiate(lines: Sequence[bytes], offered: tuple[bytes, ...]) -> bytes:
    """The form to answer in, of those offered. Raises ApiError where none is accepted."""
    header = lines[0] if len(lines) == 1 else b",".join(lines)
    if not header or header == b"*/*":
        return offered[0]
    choose = _choose_cached if len(header) <= _CACHED_BYTES_MAX else _choose
    chosen = choose(header, offered)
    if chosen is None:
        forms = [form.decode() for form in offered]
        message = f"nothing that Accept allows can be given here; there are {', '.join(forms)}"
        raise ApiError(406, "not_acceptable", message, available=forms)
    return chosen


def _choose(header: bytes, offered: tuple[bytes, ...]) -> bytes | None:
    ranges = parse_accept(header.decode("latin-1"))
    if not ranges:
        return offered[0]
    ranked = []
    for number, form in enumerate(offered):
        text = form.decode()
        fitting = [
            (one.precision, -n, one.weight) for n, one in enumerate(ranges) if one.fits(text)
        ]
        if fitting:
            precision, place, weight = max(fitting)
            ranked.append((weight, precision, place, -number))
    weight, _, _, number = max(ranked, default=(0, 0, 0, 0))
    return offered[-number] if weight > 0 else None


_choose_cached = lru_cache(maxsize=128)(_choose)


def parse_accept(header: str) -> list[MediaRange]:
    """The media ranges of the header in order, without what is none."""
    ranges = []
    for part in _PART.findall(header):
        found = _RANGE.fullmatch(part)
        if found is None:
            continue
        kind, subtype, parameters = found[1].lower(), (found[2] or "").lower(), found[3]
        if kind == "*":
            # Some clients write * for */*.
            subtype = subtype or "*"
        if not subtype or (kind == "*" and subtype != "*"):
            continue
        weight, is_plain = 1.0, True
        for name, value in _PARAMETERS.findall(parameters):
            if name.lower() != "q":
                is_plain = False
            elif _WEIGHT.fullmatch(value):
                weight = min(float(value), 1.0)
        precision = _EXACT if is_plain else _WITH_PARAMETERS
        if subtype == "*":
            precision = _ANY if kind == "*" else _ANY_SUBTYPE
        ranges.append(MediaRange(kind, subtype, weight, precision))
    return ranges
