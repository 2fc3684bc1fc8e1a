"""The one form in which HTTP tells an error."""

from __future__ import annotations

import msgspec

from tidelog.api.errors import HttpError


def error_body(failed: HttpError) -> bytes:
    """``{"error": {"code", "message", "details"}}``."""
    told = {"code": failed.code, "message": failed.message, "details": failed.details}
    return msgspec.json.encode({"error": told})
