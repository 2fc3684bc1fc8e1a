"""Delegation tokens are refused, as by Apache Kafka where nobody says who they are."""

from __future__ import annotations

DELEGATION_TOKEN_REQUEST_NOT_ALLOWED = 64
NO_TIME = -1
ANYBODY = ("User", "ANONYMOUS")
"""Type and name of who did not say."""
