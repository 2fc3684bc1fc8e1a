"""A data directory that Apache Kafka 4.3 wrote, and Apache Kafka's own reader on ours.

``data/kafka-4.3`` was left by a broker with one topic, ``index.interval.bytes=200``, to which
librdkafka had sent sixty records: five codecs, two idempotent producers, timestamps that are
not in order, keys, nulls and headers.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.apache_kafka import ApacheKafka
from tests.support.faulty_disk import FaultyDisk
from tests.support.one_log import NOW, OneLog
from tests.support.segment_files import check_indexes
from tidelog.storage.batches.record import Record
from tidelog.storage.batches.record_batch import batches, check_batches, decode_records
from tidelog.storage.files import Disk
from tidelog.storage.local.checkpoints import decode_checkpoint
from tidelog.storage.local.data_directory import DataDirectory
from tidelog.storage.local.leader_epochs import LeaderEpochs
from tidelog.storage.local.log import Log
from tidelog.storage.local.log_state import LogPlace
from tidelog.storage.local.open_segments import OpenSegments
from tidelog.storage.local.producer_state import ProducerState
from tidelog.storage.local.recovery import LastKnown, open_log
from tidelog.storage.log_settings import LogSettings

THEIRS = Path(__file__).parent / "data" / "kafka-4.3"
PARTITION = THEIRS / "golden-0"
LOG = "00000000000000000000.log"
SNAPSHOT = PARTITION / "00000000000000000060.snapshot"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def open_theirs(directory: Path, *, clean: bool) -> Log:
    place = LogPlace(Disk(), str(directory / "golden-0"), "golden", 0, OpenSegments())
    settings = LogSettings(index_interval_bytes=200)
    return open_log(place, settings, LastKnown(60 if clean else 0, None, clean), NOW)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(THEIRS, tmp_path / "data"))


def expected_record(number: int) -> Record:
    codec = CODECS[number // 12]
    return Record(
        number,
        NOW + number * 1000 - (5000 if number % 4 == 0 else 0),
        b"k%d" % (number % 3) if number % 5 else None,
        None if number % 7 == 0 else b"%d" % number + b"x" * 60,
        (("codec", codec.encode()), ("null", None)) if number % 2 else (),
    )


def test_its_records_are_read_field_by_field() -> None:
    data = (PARTITION / LOG).read_bytes()
    found = [decode_records(data, position=position) for position, _ in batches(data)]
    assert [record for batch in found for record in batch] == [
        expected_record(number) for number in range(60)
    ]
    headers = check_batches(data)
    assert [CODECS[header.codec] for header in headers] == [
        CODECS[header.base_offset // 12] for header in headers
    ]


@pytest.mark.parametrize("clean", [True, False])
def test_its_partition_is_a_log(copied: Path, clean: bool) -> None:
    log = open_theirs(copied, clean=clean)
    assert (log.start_offset, log.end_offset) == (0, 60)
    assert not log.cuts
    for number in range(60):
        found = log.read(number, 1, wait=True)
        assert expected_record(number) in decode_records(found.data)
    for number in range(0, 60, 4):
        later = next(n for n in range(60) if expected_record(n).timestamp >= NOW + number * 1000)
        assert log.offset_for_timestamp(NOW + number * 1000) == (
            later,
            expected_record(later).timestamp,
        )
    newest = max(range(60), key=lambda number: expected_record(number).timestamp)
    assert log.offset_of_largest_timestamp() == (newest, expected_record(newest).timestamp)


def test_indexes_made_again_are_what_it_had_written(copied: Path) -> None:
    directory = copied / "golden-0"
    for suffix in (".index", ".timeindex"):
        (directory / LOG).with_suffix(suffix).unlink()
    open_theirs(copied, clean=False)
    for suffix in (".index", ".timeindex"):
        name = Path(LOG).with_suffix(suffix)
        assert (directory / name).read_bytes() == (PARTITION / name).read_bytes()
    check_indexes(directory / LOG, complete=True)


def test_its_producers_are_known(copied: Path) -> None:
    theirs = ProducerState.decode_snapshot(SNAPSHOT.read_bytes())
    assert len(theirs) == 2
    (copied / "golden-0" / SNAPSHOT.name).unlink()
    read_again = open_theirs(copied, clean=False).producers
    for producer_id, producer in theirs.items():
        found = read_again.get(producer_id)
        assert found is not None
        assert found.epoch == producer.epoch
        assert found.batches[-1] == producer.batches[-1]


def test_a_snapshot_is_written_as_it_writes_one() -> None:
    data = SNAPSHOT.read_bytes()
    assert ProducerState.decode_snapshot(data).encode_snapshot() == data


def test_its_small_files_are_read(copied: Path) -> None:
    points = (copied / "recovery-point-offset-checkpoint").read_bytes()
    assert decode_checkpoint(points) == {("golden", 0): 60}
    assert decode_checkpoint((copied / "log-start-offset-checkpoint").read_bytes()) == {}
    epochs = LeaderEpochs.decode((PARTITION / "leader-epoch-checkpoint").read_bytes())
    assert epochs.current == 0
    data_directory = DataDirectory(str(copied), Disk(), 1)
    try:
        assert data_directory.cluster_id == "4L6g3nShT-eMCtK--X86sw"
        assert data_directory.was_clean
        assert data_directory.last_known("golden", 0) == LastKnown(60, None, True)
    finally:
        data_directory.release()


def test_its_log_reader_finds_no_fault_with_ours(tmp_path: Path, apache_kafka: ApacheKafka) -> None:
    one = OneLog(tmp_path, segment_bytes=6000)
    for number in range(40):
        time = NOW + number * (1 if number % 3 else -2)
        one.append(b"%08d" % one.log.end_offset, b"x" * 50, timestamp=time, codec=number % 5)
        one.append(b"p", producer_id=9, producer_epoch=0, base_sequence=number)
    one.stop()
    one.disk = FaultyDisk(tmp_path)
    names = ("*.log", "*.index", "*.timeindex", "*.snapshot")
    paths = [path for name in names for path in sorted(one.directory.glob(name))]
    assert len(paths) > 6
    assert apache_kafka.check_files(paths) == 80
