"""The target of a request, and the names in its path.

Each segment of a path stands for one name, percent-encoded as UTF-8. Names may hold every
character, ``/`` and ``%`` too, so a path is split while it is still encoded and its segments are
decoded after that, once (RFC 3986, 2.4). No segment is dropped: ``..`` is a name as good as any.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from tidelog.api.errors import ApiError
from tidelog.api.http.parameters import BROKEN_ESCAPE

_SAFE = "!$&'()*+,;=:@"
"""With letters, digits and ``-._~`` what RFC 3986 allows in a segment as it is."""


class Target(NamedTuple):
    """``authority`` is given where the target is a whole URL, as for a proxy."""

    raw_path: bytes
    query: bytes
    authority: bytes | None = None


def split_target(target: bytes) -> Target:
    """The parts of a target in any form that RFC 9112, 3.2 gives it. Raises ApiError."""
    if b"#" in target:
        target = target.partition(b"#")[0]
    path, _, query = target.partition(b"?")
    if path.startswith(b"/") or path == b"*":
        return Target(path, query)
    scheme, separator, rest = path.partition(b"://")
    authority, slash, path = rest.partition(b"/")
    if not separator or scheme.lower() not in (b"http", b"https") or not authority:
        message = f"the target of the request, {target!r}, is not a path or an http URL"
        raise ApiError(400, "invalid_target", message)
    return Target(slash + path or b"/", query, authority.rpartition(b"@")[2])


def segments(raw_path: bytes) -> list[str]:
    """The names between the slashes. Raises ApiError for an escape that is none or not UTF-8."""
    if b"%" not in raw_path:
        return raw_path.decode("ascii").split("/")
    if BROKEN_ESCAPE.search(raw_path):
        message = "a % in the path is not followed by two hexadecimal digits; write it as %25"
        raise ApiError(400, "invalid_path", message)
    try:
        return [unquote_to_bytes(part).decode() for part in raw_path.split(b"/")]
    except UnicodeDecodeError as error:
        message = f"the path is not UTF-8: {error.object!r} cannot be decoded"
        raise ApiError(400, "invalid_path", message) from None


def path_of(*names: str) -> str:
    """``/`` and the names, each encoded so that only slashes between names are slashes."""
    return "".join(["/" + quote(name, safe=_SAFE) for name in names])
