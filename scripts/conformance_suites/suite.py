"""What a suite is, what it is run against and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class TestResult:
    """How one test ended, and why where it did not pass."""

    name: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class Run:
    """Where a suite finds the broker and its files; ``jobs`` tests may run at a time.

    ``port`` is the one that the broker tells clients; it listens on ``listening``.
    """

    host: str
    port: int
    listening: int
    cache: Path
    logs: Path
    jobs: int


@dataclass(frozen=True)
class Suite:
    """A suite of others.

    ``settings`` are those of the broker that the suite's authors test with. ``missing`` names what
    this machine lacks for it. ``explained`` gives the reason for each failure that is accepted. A
    ``proxied`` suite puts something of its own between the clients and the broker.
    """

    name: str
    source: str
    run: Callable[[Run], list[TestResult]]
    settings: tuple[str, ...] = ()
    missing: Callable[[], str | None] = lambda: None
    explained: Mapping[str, str] = field(default_factory=dict)
    proxied: bool = False
