"""Which error statuses a route documents; each has the one form of error."""

from __future__ import annotations

from typing import Any

from tidelog.api.rest.administration.models import ErrorBody

_MEANINGS = {
    400: "The request is not valid HTTP or JSON",
    403: "Refused: a foreign host or origin, or an internal topic",
    404: "There is no such thing",
    405: "The method is not allowed here",
    406: "There is no such form of the answer; the details say which there are",
    408: "The request did not arrive in time",
    409: "It contradicts the present state",
    410: "Retention took it",
    413: "Too large",
    415: "The media type or encoding is not supported",
    416: "The offset is out of range; the details say what can be read",
    422: "A field or parameter is not acceptable, or no record can be had of a batch; the details "
    "say which, and where to go on",
    500: "Stored bytes are damaged; the message names the file and the offsets",
    503: "Stopping, recovering or unable to write; try again",
    507: "No space, or no quota, is left; try again",
}
_ALWAYS = (400, 403, 413, 422, 503)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented errors of a route: the given ones and those that every route has."""
    return {
        status: {"model": ErrorBody, "description": _MEANINGS[status]}
        for status in sorted({*_ALWAYS, *statuses})
    }
