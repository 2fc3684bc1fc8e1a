"""Fetch, 4-18: whole stored batches, as they are on disk, at least one whatever the limits say.

Sessions are declined (session id 0), so every request names all its partitions. From version 12
on a partition without data has empty, not null, records; from 13 on topics go by id. A fetch
that finds too little waits and is woken by the append that satisfies it.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, NamedTuple

from tidelog.api.caller import READ
from tidelog.api.error_codes import FETCH_SESSION_ID_NOT_FOUND
from tidelog.api.kafka.lookups import (
    code_of,
    leader_epoch_error,
    milliseconds,
    topic_fields,
    topic_of,
)
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values
from tidelog.api.kafka.wire.framing import Part
from tidelog.broker.errors import BrokerError
from tidelog.broker.partition import Fetched, Partition
from tidelog.broker.waiting import DataWaiter
from tidelog.storage.errors import OffsetOutOfRange, StorageError

API = Api(key=1, name="fetch", versions=(4, 18), flexible_from=12)

_INITIAL_EPOCH, _FINAL_EPOCH = 0, -1
_RESPONSE_OVERHEAD = 1024


class _Asked(NamedTuple):
    """One partition of the request; ``partition`` None where ``answer`` is known unread."""

    entry: Any
    topic: Any
    partition: Partition | None
    answer: dict[str, Any]


def handle(call: Call, request: Any) -> Values | Coroutine[Any, Any, Values]:
    """Answer at once where that needs no waiting."""
    if getattr(request, "session_epoch", _FINAL_EPOCH) not in (_INITIAL_EPOCH, _FINAL_EPOCH):
        return {"error_code": FETCH_SESSION_ID_NOT_FOUND}
    asked = [_look_up(call, topic, entry) for topic in request.topics for entry in topic.partitions]
    answers: list[dict[str, Any]] = []
    if not _read_now(call, request, asked, answers):
        return _read(call, request, asked)
    if _is_enough(request, answers):
        return _values(asked, answers)
    return _wait(call, request, asked, answers)


def _look_up(call: Call, topic: Any, entry: Any) -> _Asked:
    try:
        partition = topic_of(call, topic, READ, "topic").partition(entry.partition)
    except BrokerError as error:
        return _Asked(entry, topic, None, _error(entry, code_of(error)))
    code = leader_epoch_error(partition, getattr(entry, "current_leader_epoch", -1))
    if code:
        return _Asked(entry, topic, None, _error(entry, code))
    last_epoch = getattr(entry, "last_fetched_epoch", -1)
    if last_epoch >= 0:
        try:
            diverged = _diverged(partition, entry, last_epoch)
        except OffsetOutOfRange as error:
            return _Asked(entry, topic, None, _error(entry, code_of(error)))
        if diverged is not None:
            return _Asked(entry, topic, None, diverged)
    return _Asked(entry, topic, partition, {})


def _diverged(partition: Partition, entry: Any, last_epoch: int) -> dict[str, Any] | None:
    """Where the log left what the client has read (KIP-595), None where it did not.

    Raises OffsetOutOfRange for an epoch or an offset that the log does not have.
    """
    epoch, end = partition.end_of_epoch(last_epoch)
    if epoch < 0 or entry.fetch_offset < partition.start_offset:
        raise OffsetOutOfRange(entry.fetch_offset, partition.start_offset, partition.end_offset)
    if epoch == last_epoch and end >= entry.fetch_offset:
        return None
    nothing = partition.nothing_at(partition.end_offset)
    return {**_answer(entry, nothing), "diverging_epoch": {"epoch": epoch, "end_offset": end}}


def _budget(call: Call, request: Any) -> int:
    limit = int(call.broker.settings["fetch.max.bytes"])
    asked: int = getattr(request, "max_bytes", limit)
    return min(asked, limit)


def _room(budget: int, asked: _Asked, taken: int) -> int:
    """Bytes to read for a partition; 0: nothing more, unless nothing was found yet.

    Only the first batch of an answer may be larger than the room for it.
    """
    left = budget - taken
    if left <= 0 and taken:
        return 0
    return max(1, min(left, int(asked.entry.partition_max_bytes)))


def _read_now(call: Call, request: Any, asked: list[_Asked], answers: list[dict[str, Any]]) -> bool:
    """Read what needs no waiting for the disk; False where something does."""
    budget, taken = _budget(call, request), 0
    for one in asked:
        if one.partition is None:
            answers.append(one.answer)
            continue
        room = _room(budget, one, taken)
        fetched: Fetched[Part] | None = None
        try:
            if room:
                fetched = one.partition.fetch_now(one.entry.fetch_offset, room)
            if fetched is None or (taken and fetched.size > room):
                fetched = one.partition.nothing_at(one.entry.fetch_offset)
        except BlockingIOError:
            return False
        except StorageError as error:
            answers.append(_error(one.entry, code_of(error)))
            continue
        taken += fetched.size
        answers.append(_answer(one.entry, fetched))
    return True


async def _read(call: Call, request: Any, asked: list[_Asked]) -> Values:
    """As ``_read_now``, waiting for the disk; then wait for data where there is too little."""
    answers = await _read_all(call, request, asked)
    if _is_enough(request, answers):
        return _values(asked, answers)
    return await _wait(call, request, asked, answers)


async def _read_all(call: Call, request: Any, asked: list[_Asked]) -> list[dict[str, Any]]:
    budget, taken = _budget(call, request), 0
    answers = []
    for one in asked:
        if one.partition is None:
            answers.append(one.answer)
            continue
        room = _room(budget, one, taken)
        fetched: Fetched[Part] | None = None
        try:
            if room:
                fetched = await one.partition.fetch(one.entry.fetch_offset, room)
            if fetched is None or (taken and fetched.size > room):
                fetched = one.partition.nothing_at(one.entry.fetch_offset)
        except StorageError as error:
            answers.append(_error(one.entry, code_of(error)))
            continue
        taken += fetched.size
        answers.append(_answer(one.entry, fetched))
    return answers


async def _wait(
    call: Call, request: Any, asked: list[_Asked], answers: list[dict[str, Any]]
) -> Values:
    """Wait for ``min_bytes`` or the time-out, then answer with what is there."""
    with DataWaiter() as waiter:
        for one in asked:
            if one.partition is not None:
                waiter.watch(one.partition)
        if not _is_current(asked, answers):
            answers = await _read_all(call, request, asked)
        if _is_enough(request, answers) or call.broker.closing:
            return _values(asked, answers)
        waiter.rearm(request.min_bytes - _size(answers))
        woken = await waiter.wait(milliseconds(request.max_wait))
    if not woken:
        return _values(asked, answers)
    return _values(asked, await _read_all(call, request, asked))


def _is_current(asked: list[_Asked], answers: list[dict[str, Any]]) -> bool:
    """Whether nothing has been appended or deleted since the answers were read."""
    return all(
        one.partition is None
        or (
            not one.partition.deleted
            and one.partition.high_watermark == answer["high_watermark"]
            and one.partition.start_offset == answer["log_start_offset"]
        )
        for one, answer in zip(asked, answers, strict=True)
    )


def _size(answers: list[dict[str, Any]]) -> int:
    return sum(sum(map(len, answer["records"])) for answer in answers)


def _is_enough(request: Any, answers: list[dict[str, Any]]) -> bool:
    """Kafka answers at once with enough data, with any error, or when told not to wait."""
    return (
        not answers
        or milliseconds(request.max_wait) <= 0
        or any(answer["error_code"] or "diverging_epoch" in answer for answer in answers)
        or _size(answers) >= request.min_bytes
    )


def _answer(entry: Any, fetched: Fetched[Part]) -> dict[str, Any]:
    return {
        "partition_index": entry.partition,
        "error_code": 0,
        "high_watermark": fetched.high_watermark,
        "last_stable_offset": fetched.last_stable_offset,
        "log_start_offset": fetched.start_offset,
        "records": fetched.data,
    }


def _error(entry: Any, code: int) -> dict[str, Any]:
    return {
        "partition_index": entry.partition,
        "error_code": code,
        "high_watermark": -1,
        "records": (),
    }


def _values(asked: list[_Asked], answers: list[dict[str, Any]]) -> Values:
    """Answers by topic, in the order of the request."""
    responses: list[dict[str, Any]] = []
    last: Any = None
    for one, answer in zip(asked, answers, strict=True):
        if one.topic is not last:
            last = one.topic
            responses.append({**topic_fields(one.topic, "topic"), "partitions": []})
        responses[-1]["partitions"].append(answer)
    return {"responses": responses}
