"""The table of APIs and the classes of their messages."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import sys
from tidelog.api.kafka.apis import message_class

message_class("api_versions", 4, "request")
assert "hypothesis" not in sys.modules
import hypothesis.strategies
assert hypothesis.strategies.integers
"""


def test_messages_load_without_hypothesis_and_leave_it_usable() -> None:
    subprocess.run([sys.executable, "-c", LOADED], check=True)
