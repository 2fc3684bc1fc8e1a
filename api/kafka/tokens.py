"""Delegation tokens are refused, as by Apache Kafka where nobody says who they are."""

from __future__ import annotations

NO_TIME = -1
ANYBODY = ("User", "ANONYMOUS")
"""Type and name of who did not say."""
