"""Lists in pages: ``limit`` and ``page_token``, by a key that orders the list."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Query

from tidelog.api.errors import ApiError
from tidelog.api.rest.administration.models import InDigits

T = TypeVar("T")

Limit = Annotated[int, InDigits, Query(ge=1, le=10_000, description="entries of one page")]
PageToken = Annotated[str | None, Query(description="next_page_token of the page before")]


def page(
    entries: Sequence[T], limit: int, token: str | None, key: Callable[[T], str]
) -> tuple[list[T], str | None]:
    """Entries after the token's, and the token of the next page. Raises ApiError."""
    after = None if token is None else _decode(token)
    following = [entry for entry in entries if after is None or key(entry) > after]
    shown = following[:limit]
    if len(following) <= limit:
        return shown, None
    last = key(shown[-1]).encode()
    return shown, binascii.b2a_base64(last, newline=False).decode()


def _decode(token: str) -> str:
    try:
        return binascii.a2b_base64(token, strict_mode=True).decode()
    except ValueError:
        message = "page_token is not one of ours"
        raise ApiError(422, "invalid_parameter", message, parameter="page_token") from None
