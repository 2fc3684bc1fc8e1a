"""What a log is made from, and what it answers with: values without behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tidelog.storage.buffers import Buffer
from tidelog.storage.files import Disk
from tidelog.storage.local.leader_epochs import LeaderEpochs
from tidelog.storage.local.open_segments import OpenSegments
from tidelog.storage.local.producer_state import ProducerState
from tidelog.storage.local.segment import Segment


class AppendResult(NamedTuple):
    """Offsets of what was appended, or of the first time when it is a duplicate."""

    base_offset: int
    last_offset: int
    log_append_time_ms: int
    start_offset: int
    duplicate: bool


class LogRead(NamedTuple):
    """Contiguous whole batches; the first may begin before the offset that was asked for."""

    data: Buffer
    next_offset: int


class Cut(NamedTuple):
    """Bytes that recovery took out of a log; ``damage`` when whole batches followed them."""

    path: str
    position: int
    bytes: int
    kept_as: str
    damage: bool


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where a log lives: its directory and the partition it belongs to."""

    disk: Disk
    directory: str
    topic: str
    partition: int
    opened: OpenSegments


@dataclass(frozen=True, slots=True)
class LogState:
    """What recovery found; ``segments`` are oldest first and at least one.

    ``snapshots`` are the offsets of producer snapshots, oldest first and at least one.
    """

    segments: list[Segment]
    start_offset: int
    flushed_offset: int
    epochs: LeaderEpochs
    producers: ProducerState
    snapshots: list[int] = field(default_factory=lambda: [0])
    cuts: list[Cut] = field(default_factory=list)
