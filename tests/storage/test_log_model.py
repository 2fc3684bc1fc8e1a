"""A log against a plain list of batches, through crashes, kills and everything that changes it.

The list holds the exact bytes that the log must hold. After a power cut everything that was
flushed must be there, nothing may be there that was not written, and what is there must be the
beginning of what was written.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import uuid
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.faulty_disk import FaultyDisk
from tests.support.model_batches import Stored, stored
from tests.support.segment_files import check_indexes, walk_log
from tidelog.storage.batches.record_batch import encode_batch
from tidelog.storage.errors import (
    BatchTooLarge,
    CorruptBatch,
    DiskFull,
    OffsetOutOfRange,
    OutOfOrderSequence,
    WritesStopped,
)
from tidelog.storage.local.cuts import acknowledge_damage
from tidelog.storage.local.flush import Flush
from tidelog.storage.local.log_state import LogPlace
from tidelog.storage.local.open_segments import OpenSegments
from tidelog.storage.local.recovery import LastKnown, create_log, open_log
from tidelog.storage.local.retention import plan_retention
from tidelog.storage.log_settings import LogSettings

RETENTION_MS = 60_000
SETTINGS = LogSettings(
    segment_bytes=1500,
    segment_ms=40_000,
    index_interval_bytes=150,
    retention_ms=RETENTION_MS,
    timestamp_after_max_ms=2**62,
)
TOPIC_ID = uuid.UUID(int=7)
PRODUCERS = (11, 12)

sizes = st.sampled_from([0, 1, 30, 200])
timestamps = st.integers(-3_000, 30_000)


class LogMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="log-model-"))
        self.directory = self.root / "t-0"
        self.disk = FaultyDisk(self.root)
        self.now_ms = 1_000_000
        self.batches: list[Stored] = []
        self.start_offset = 0
        self.durable_offset = 0
        self.recovery_point: int | None = None
        self.saved_start: int | None = None
        self.running_flush: Flush | None = None
        self.doomed: list[str] = []
        self.sequences: dict[int, int] = {}
        self.unsure: set[int] = set()
        self.cut_files: set[Path] = set()
        self.log = create_log(self._place(), TOPIC_ID, SETTINGS)

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def _place(self) -> LogPlace:
        return LogPlace(self.disk, str(self.directory), "t", 0, OpenSegments(2))

    @property
    def end_offset(self) -> int:
        return self.batches[-1].next_offset if self.batches else self.start_offset

    # Append

    def _encode(
        self, records: int, size: int, delta: int, codec: int, producer_id: int = -1
    ) -> bytearray:
        self.now_ms += 500
        first = self.now_ms + delta
        sequence = self.sequences.get(producer_id, 0) if producer_id >= 0 else -1
        return encode_batch(
            [(first + 7 * n, b"key", bytes([n]) * size, [(b"h", None)]) for n in range(records)],
            codec=codec,
            producer_id=producer_id,
            producer_epoch=0 if producer_id >= 0 else -1,
            base_sequence=sequence,
        )

    def _store(self, batch: bytes, base_offset: int) -> None:
        new = stored(batch, base_offset, self.log.epochs.current)
        self.batches.append(new)
        if new.producer_id >= 0:
            self.sequences[new.producer_id] = new.next_sequence
            self.unsure.discard(new.producer_id)

    def _append(self, batches: list[bytearray]) -> bool:
        """Append and expect success unless the disk is full."""
        before = [bytes(batch) for batch in batches]
        expected = self.end_offset
        try:
            result = self.log.append(bytearray(b"".join(batches)), self.now_ms)
        except DiskFull:
            assert self.disk.room_bytes is not None
            return False
        assert result.base_offset == expected
        assert not result.duplicate
        for batch in before:
            self._store(batch, self.end_offset)
        assert result.last_offset == self.end_offset - 1
        return True

    @rule(
        count=st.integers(1, 3),
        records=st.integers(1, 4),
        size=sizes,
        delta=timestamps,
        codec=st.integers(0, 4),
    )
    def append(self, count: int, records: int, size: int, delta: int, codec: int) -> None:
        batches = [self._encode(records, size, delta, codec) for _ in range(count)]
        if sum(map(len, batches)) > SETTINGS.segment_bytes:
            with pytest.raises(BatchTooLarge):
                self.log.append(bytearray(b"".join(batches)), self.now_ms)
            return
        self._append(batches)

    @rule(producer_id=st.sampled_from(PRODUCERS), records=st.integers(1, 3), size=sizes)
    def append_idempotent(self, producer_id: int, records: int, size: int) -> None:
        self._append([self._encode(records, size, 0, 0, producer_id)])

    def _last_of(self, producer_id: int) -> Stored | None:
        mine = (batch for batch in reversed(self.batches) if batch.producer_id == producer_id)
        return None if producer_id in self.unsure else next(mine, None)

    @rule(producer_id=st.sampled_from(PRODUCERS))
    def repeat(self, producer_id: int) -> None:
        last = self._last_of(producer_id)
        if last is None:
            return
        result = self.log.append(bytearray(last.data), self.now_ms)
        assert result.duplicate
        assert result.base_offset == last.base_offset
        assert result.last_offset == last.next_offset - 1

    @rule(producer_id=st.sampled_from(PRODUCERS))
    def skip_a_sequence(self, producer_id: int) -> None:
        if self._last_of(producer_id) is None:
            return
        self.sequences[producer_id] += 1
        batch = self._encode(1, 0, 0, 0, producer_id)
        self.sequences[producer_id] -= 1
        with pytest.raises(OutOfOrderSequence):
            self.log.append(batch, self.now_ms)

    @rule(at=st.integers(21, 90), count=st.integers(0, 2))
    def append_damaged(self, at: int, count: int) -> None:
        batches = [self._encode(2, 30, 0, 0) for _ in range(count + 1)]
        batches[-1][at] ^= 0x40
        with pytest.raises(CorruptBatch):
            self.log.append(bytearray(b"".join(batches)), self.now_ms)

    @rule(room=st.integers(0, 400), records=st.integers(1, 3))
    def append_to_a_full_disk(self, room: int, records: int) -> None:
        self.disk.room_bytes = room
        self._append([self._encode(records, 200, 0, 0)])
        self.disk.room_bytes = None

    # Flush, roll, remove

    @precondition(lambda self: self.running_flush is None)
    @rule()
    def begin_flush(self) -> None:
        self.running_flush = self.log.begin_flush()
        if self.running_flush is None:
            self.durable_offset = self.end_offset

    @precondition(lambda self: self.running_flush is not None)
    @rule()
    def finish_flush(self) -> None:
        flush = self.running_flush
        assert flush is not None
        self.running_flush = None
        flush.run()
        self.log.flushed(flush)
        self.durable_offset = max(self.durable_offset, flush.end_offset)
        assert self.log.flushed_offset == self.durable_offset

    @rule()
    def flush(self) -> None:
        if self.running_flush is not None:
            self.finish_flush()
        self.begin_flush()
        if self.running_flush is not None:
            self.finish_flush()

    @rule()
    def save_recovery_point(self) -> None:
        self.recovery_point = self.log.flushed_offset

    @rule()
    def roll(self) -> None:
        self.log.roll()

    @rule(at=st.floats(0, 1))
    def delete_before(self, at: float) -> None:
        self._delete_before(self.start_offset + int(at * (self.end_offset - self.start_offset)))

    def _delete_before(self, offset: int) -> None:
        self.flush()
        if offset > self.log.start_offset:
            self.log.advance_start(offset)
            self.saved_start = offset
            self.start_offset = offset
        self.doomed += self.log.remove_below(self.log.start_offset)

    @rule(later_ms=st.integers(0, 100_000))
    def retain(self, later_ms: int) -> None:
        now_ms = self.now_ms + later_ms
        infos = self.log.segment_infos()
        plan = plan_retention(infos, SETTINGS, start_offset=self.log.start_offset, now_ms=now_ms)
        must_go = 0
        for info in infos:
            offsets = range(info.base_offset, info.next_offset)
            inside = [batch for batch in self.batches if batch.base_offset in offsets]
            young = any(now_ms - batch.max_timestamp <= RETENTION_MS for batch in inside)
            deleted = info.sealed and info.next_offset <= self.start_offset
            if not deleted and (young or not inside):
                break
            must_go = info.next_offset
        assert (plan.expired[-1].next_offset if plan.expired else 0) == must_go
        if plan.expired:
            self._delete_before(must_go)

    @rule()
    def remove_doomed_files(self) -> None:
        for path in self.doomed:
            self.disk.remove(path)
        self.doomed.clear()

    # Read

    @rule(at=st.floats(0, 1), max_bytes=st.sampled_from([0, 1, 100, 500, 5000]), wait=st.booleans())
    def read(self, at: float, max_bytes: int, wait: bool) -> None:
        offset = self.start_offset + int(at * (self.end_offset - self.start_offset))
        self.disk.cold = not wait
        try:
            found = self.log.read(offset, max_bytes, wait=wait)
        except BlockingIOError:
            assert not wait
            return
        finally:
            self.disk.cold = False
        wanted = [batch for batch in self.batches if batch.next_offset > offset]
        if not wanted:
            assert not len(found.data)
            assert found.next_offset == offset
            return
        whole, size = [wanted[0]], len(wanted[0].data)
        for batch in wanted[1:]:
            if size + len(batch.data) > len(found.data):
                break
            whole.append(batch)
            size += len(batch.data)
        assert bytes(found.data) == b"".join(batch.data for batch in whole)
        assert found.next_offset == whole[-1].next_offset
        assert size <= max_bytes or len(whole) == 1

    @rule(below=st.integers(1, 5), beyond=st.integers(1, 5))
    def read_out_of_range(self, below: int, beyond: int) -> None:
        for offset in (self.start_offset - below, self.end_offset + beyond):
            with pytest.raises(OffsetOutOfRange) as caught:
                self.log.read(offset, 100, wait=True)
            assert caught.value.start_offset == self.start_offset
            assert caught.value.end_offset == self.end_offset

    @rule(back_ms=st.integers(-40_000, 100_000))
    def look_up_a_time(self, back_ms: int) -> None:
        timestamp = self.now_ms - back_ms
        expected = None
        for batch in self.batches:
            count = batch.next_offset - batch.base_offset
            for number in range(count):
                time = batch.max_timestamp - 7 * (count - 1 - number)
                offset = batch.base_offset + number
                if expected is None and time >= timestamp and offset >= self.start_offset:
                    expected = offset, time
        assert self.log.offset_for_timestamp(timestamp) == expected

    # Stop and start

    def _open(self, *, clean: bool) -> int:
        """Open the directory again; the end offset found."""
        self.running_flush = None
        self.doomed.clear()
        epoch = self.log.epochs.current
        known = LastKnown(self.recovery_point, self.saved_start, clean)
        self.log = open_log(self._place(), SETTINGS, known, self.now_ms)
        assert self.log.epochs.current == (epoch if clean else epoch + 1)
        for producer_id in PRODUCERS:
            self._recount(producer_id)
        return self.log.end_offset

    def _recount(self, producer_id: int) -> None:
        """Only what is still in the log is sure to be known of a producer."""
        end_offset = self.log.end_offset
        mine = [b for b in self.batches if b.producer_id == producer_id]
        mine = [b for b in mine if b.next_offset <= end_offset]
        if mine:
            self.sequences[producer_id] = mine[-1].next_sequence
        if mine and mine[-1].base_offset >= self.log.segments[0].base_offset:
            self.unsure.discard(producer_id)
        else:
            self.unsure.add(producer_id)

    @rule()
    def stop_and_start(self) -> None:
        self.log.close()
        self.durable_offset = self.recovery_point = self.log.flushed_offset
        assert self.durable_offset == self.end_offset
        for log_path in self.directory.glob("*.log"):
            check_indexes(log_path, complete=True)
        self.disk.read_bytes_by_path.clear()
        assert self._open(clean=True) == self.end_offset
        assert self.log.flushed_offset == self.end_offset
        assert not [path for path in self.disk.read_bytes_by_path if path.endswith(".log")]

    @rule()
    def kill(self) -> None:
        known = {cut.kept_as for cut in self.log.cuts}
        assert self._open(clean=False) == self.end_offset
        assert {cut.kept_as for cut in self.log.cuts} <= known

    @rule(source=st.randoms(use_true_random=False))
    def cut_the_power(self, source: random.Random) -> None:
        self.disk = self.disk.crash(source)
        end_offset = self._open(clean=False)
        assert self.durable_offset <= end_offset
        self.batches = [batch for batch in self.batches if batch.next_offset <= end_offset]
        assert self.end_offset == end_offset
        for cut in self.log.cuts:
            assert Path(cut.kept_as).stat().st_size == cut.bytes > 0
        kept = set(self.directory.glob("*.cut"))
        assert len(kept) >= len(self.cut_files)
        self.cut_files = kept

    @rule(source=st.randoms(use_true_random=False))
    def fail_to_sync(self, source: random.Random) -> None:
        flush = self.log.begin_flush()
        if flush is None:
            return
        self.disk.failing_syncs = True
        with pytest.raises(OSError, match="error"):
            flush.run()
        self.log.flush_failed("the disk failed")
        with pytest.raises(WritesStopped):
            self.log.append(self._encode(1, 0, 0, 0), self.now_ms)
        self.the_log_holds_the_list()
        self.disk.failing_syncs = False
        self.cut_the_power(source)

    @rule()
    def acknowledge(self) -> None:
        acknowledge_damage(self.log)
        assert not self.log.cuts

    # What must hold after every step

    @invariant()
    def the_log_holds_the_list(self) -> None:
        log = self.log
        assert log.start_offset == self.start_offset
        assert log.end_offset == self.end_offset
        offset, content = self.start_offset, b""
        while offset < self.end_offset:
            found = log.read(offset, 700, wait=True)
            assert found.next_offset > offset
            content += bytes(found.data)
            offset = found.next_offset
        readable = [batch for batch in self.batches if batch.next_offset > self.start_offset]
        assert content == b"".join(batch.data for batch in readable)

    @invariant()
    def segments_are_contiguous_and_their_files_right(self) -> None:
        segments = self.log.segments
        for segment, following in pairwise(segments):
            assert segment.next_offset == following.base_offset
            assert segment.size > 0
        for segment in segments:
            path = self.directory / f"{segment.base_offset:020d}.log"
            assert path.stat().st_size == segment.size
            check_indexes(path, complete=segment is not segments[-1])
            assert segment.size <= SETTINGS.segment_bytes or len(walk_log(path)) == 1
        names = {path.name for path in self.directory.glob("*.log")}
        assert len(names) == len(segments)


LogMachine.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    report_multiple_bugs=False,
)
TestLogAgainstAList = LogMachine.TestCase
