"""Halves of surrogate pairs: JSON can escape them, and no text that is written can hold them."""

from __future__ import annotations

import json


def half_character(document: object) -> str | None:
    """The first half of a pair in decoded JSON, as it is escaped, or None where there is none."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return ascii(error.object[error.start])
    return None
