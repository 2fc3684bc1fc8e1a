"""A compacted log against a plain dict, through passes, crashes at every step, and restarts.

Whatever happens, the newest value that was flushed of each key is what the dict says, no offset
moves, and no older value comes back.
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
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.compacting import CuttingDisk, PowerCut, compact
from tests.support.segment_files import check_indexes, walk_log
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import batches, decode_records, encode_batch
from tidelog.storage.local.log import Log
from tidelog.storage.local.log_state import LogPlace
from tidelog.storage.local.open_segments import OpenSegments
from tidelog.storage.local.recovery import LastKnown, create_log, open_log
from tidelog.storage.log_settings import LogSettings

HORIZON_MS = 5_000
SETTINGS = LogSettings(
    segment_bytes=900,
    index_interval_bytes=150,
    compact=True,
    delete=False,
    delete_retention_ms=HORIZON_MS,
    timestamp_after_max_ms=2**62,
)
START_MS = 1_000_000
PRODUCER = 5


class CompactedLog:
    """A log on a disk whose power can be cut, and what it must hold."""

    def __init__(self, root: Path) -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.directory = root / "t-0"
        self.disk = CuttingDisk(root)
        self.now_ms = START_MS
        self.written: dict[int, tuple[bytes, bytes | None]] = {}
        self.sequence = 0
        self.last_sent = bytearray()
        self.log = create_log(self._place(), uuid.UUID(int=7), SETTINGS)

    def _place(self) -> LogPlace:
        return LogPlace(self.disk, str(self.directory), "t", 0, OpenSegments(2))

    def append(self, records: list[tuple[bytes, bytes | None]], codec: int, idempotent: bool):
        self.now_ms += 100
        how = {}
        if idempotent:
            how = {"producer_id": PRODUCER, "producer_epoch": 0, "base_sequence": self.sequence}
            self.sequence += len(records)
        batch = encode_batch([(self.now_ms, *r, ()) for r in records], codec=codec, **how)
        if idempotent:
            self.last_sent = bytearray(batch)
        offset = self.log.append(batch, self.now_ms).base_offset
        self.written.update(enumerate(records, offset))
        flush = self.log.begin_flush()
        if flush is not None:
            flush.run()
            self.log.flushed(flush)

    def compact(self) -> None:
        self.log.roll()
        flush = self.log.begin_flush()
        if flush is not None:
            flush.run()
            self.log.flushed(flush)
        for path in compact(self.log, self.now_ms, key_map_bytes=3_000):
            self.disk.remove(path)

    def crash(self, source: random.Random) -> None:
        """Cut the power and start again; everything was flushed, so all of it must be there."""
        end_offset, point = self.log.end_offset, self.log.flushed_offset
        cleaned_offset = self.log.cleaned_offset
        self.disk.changes_left = None
        self.disk.crash(source)
        self.disk = CuttingDisk(self.root)
        self._open(LastKnown(point, None, False), cleaned_offset)
        assert self.log.end_offset == end_offset
        assert not self.log.cuts

    def reopen(self) -> None:
        self.log.close()
        self.disk = CuttingDisk(self.root)
        self._open(LastKnown(self.log.end_offset, None, True), self.log.cleaned_offset)

    def _open(self, known: LastKnown, cleaned_offset: int) -> None:
        self.log = open_log(self._place(), SETTINGS, known, self.now_ms)
        self.log.cleaned_offset = cleaned_offset

    # What must be true

    def check(self) -> None:
        found = read(self.log)
        latest: dict[bytes, int] = {}
        for offset, (key, _) in self.written.items():
            latest[key] = offset
        seen: dict[bytes, bytes | None] = {}
        offsets = [record.offset for record in found]
        assert offsets == sorted(set(offsets))
        for record in found:
            assert record.key is not None
            assert (record.key, record.value) == self.written[record.offset]
            seen[record.key] = record.value
        for key, offset in latest.items():
            value = self.written[offset][1]
            assert seen.get(key) == value, (key, offset)
        check_files(self.log)

    def check_duplicate(self) -> None:
        if self.last_sent:
            assert self.log.append(bytearray(self.last_sent), self.now_ms).duplicate


def check_files(log: Log) -> None:
    names = sorted(Path(log.place.directory).glob("*.log"))
    assert [int(path.stem) for path in names] == [s.base_offset for s in log.segments]
    for path, following in pairwise(names):
        check_indexes(path, complete=True)
        assert all(batch.last_offset < int(following.stem) for batch in walk_log(path))


def read(log: Log) -> list[Record]:
    records: list[Record] = []
    offset = log.start_offset
    while offset < log.end_offset:
        found = log.read(offset, 400, wait=True)
        assert found.next_offset > offset
        for position, _ in batches(found.data):
            records += decode_records(found.data, position=position)
        offset = found.next_offset
    return records


keys = st.integers(0, 6).map(lambda number: b"key-%d" % number)
values = st.one_of(st.none(), st.integers(0, 120).map(bytes))


class CompactionMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="compaction-model-"))
        self.one = CompactedLog(self.root)

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @rule(
        records=st.lists(st.tuples(keys, values), min_size=1, max_size=4),
        codec=st.integers(0, 4),
        idempotent=st.booleans(),
    )
    def append(
        self, records: list[tuple[bytes, bytes | None]], codec: int, idempotent: bool
    ) -> None:
        self.one.append(records, codec, idempotent)

    @rule(later_ms=st.sampled_from([0, HORIZON_MS]))
    def compact(self, later_ms: int) -> None:
        self.one.now_ms += later_ms
        self.one.compact()

    @rule(changes=st.integers(0, 25), seed=st.integers(0, 2**32))
    def compact_until_the_power_is_cut(self, changes: int, seed: int) -> None:
        self.one.disk.changes_left = changes
        try:
            self.one.compact()
        except PowerCut:
            self.one.crash(random.Random(seed))
        self.one.disk.changes_left = None

    @rule(seed=st.integers(0, 2**32))
    def crash(self, seed: int) -> None:
        self.one.crash(random.Random(seed))

    @rule()
    def reopen(self) -> None:
        self.one.reopen()

    @rule()
    def repeat(self) -> None:
        self.one.check_duplicate()

    @invariant()
    def nothing_is_lost_and_nothing_comes_back(self) -> None:
        if hasattr(self, "one"):
            self.one.check()


TestCompactionModel = CompactionMachine.TestCase
TestCompactionModel.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("seed", range(2))
def test_a_crash_at_every_step_of_a_pass(tmp_path: Path, seed: int) -> None:
    """The same log each time, the power cut one change of names later each time."""
    changes = 0
    cut = True
    while cut:
        source = random.Random(seed)
        one = CompactedLog(tmp_path / str(changes))
        for number in range(25):
            key = b"key-%d" % source.randrange(5)
            one.append([(key, bytes(source.randrange(100)))], number % 5, number % 3 == 0)
        one.disk.changes_left = changes
        try:
            one.compact()
            cut = False
        except PowerCut:
            one.crash(random.Random(seed + changes))
        one.disk.changes_left = None
        one.check()
        one.check_duplicate()
        one.compact()
        one.check()
        one.reopen()
        one.check()
        changes += 1
    assert changes > 20
