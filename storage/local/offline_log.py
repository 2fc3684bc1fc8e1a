"""A log that could not be opened: it shows nothing and takes nothing, and says why.

Its files stay as they are. What the checkpoints say of it is kept for the start that can open it.
"""

from __future__ import annotations

from tidelog.storage.errors import DiskFailed, WritesStopped
from tidelog.storage.local.leader_epochs import LeaderEpochs
from tidelog.storage.local.log import Log
from tidelog.storage.local.log_state import LogPlace, LogState
from tidelog.storage.local.producer_state import ProducerState
from tidelog.storage.local.recovery import LastKnown
from tidelog.storage.local.segment import Segment, SegmentInfo, Stretch
from tidelog.storage.local.segment_view import SegmentEnd
from tidelog.storage.log_settings import LogSettings


class OfflineLog(Log):
    """Stands where the log would be; ``reason`` is why it is not."""

    def __init__(
        self, place: LogPlace, settings: LogSettings, known: LastKnown, reason: str
    ) -> None:
        interval = settings.index_interval_bytes
        nothing = Segment(place.disk, place.directory, 0, SegmentEnd(0, 0), interval)
        start, flushed = known.start_offset or 0, known.recovery_point or 0
        state = LogState([nothing], start, flushed, LeaderEpochs(), ProducerState())
        super().__init__(place, state, settings)
        self.offline = self.writes_stopped = reason

    def find(self, offset: int, max_bytes: int, *, wait: bool) -> Stretch:
        """Raises DiskFailed."""
        raise self._failure()

    def offset_for_timestamp(self, timestamp: int) -> tuple[int, int] | None:
        """Raises DiskFailed."""
        raise self._failure()

    def offset_of_largest_timestamp(self) -> tuple[int, int] | None:
        """Raises DiskFailed."""
        raise self._failure()

    def segment_infos(self) -> list[SegmentInfo]:
        """None that is known."""
        return []

    def roll(self) -> None:
        """Raises WritesStopped."""
        raise WritesStopped(str(self.offline))

    def advance_start(self, offset: int) -> None:
        """Raises WritesStopped."""
        raise WritesStopped(str(self.offline))

    def close(self) -> None:
        """There is nothing to be made durable."""

    def _failure(self) -> DiskFailed:
        return DiskFailed(self.place.directory, str(self.offline))
