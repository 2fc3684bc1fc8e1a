"""Bodies that come compressed: each form that a standard allows, and each fault by its name."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import tracemalloc
import zlib
from collections.abc import Callable

import httpx
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tests.support.broker_process import BrokerProcess
from tidelog.api.errors import ApiError
from tidelog.api.http.content_coding import Gunzip, codings_of, decode
from tidelog.storage.errors import DecompressionTooLarge

LIMIT = 10_000_000
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0skip"


def gunzip(parts: list[bytes]) -> bytes:
    """All of a stream that comes in ``parts``."""
    reader = Gunzip()
    found = b"".join(piece for part in parts for piece in reader.feed(part))
    reader.end()
    return found


def whole(codings: list[str], body: bytes, limit: int = LIMIT) -> bytes:
    return asyncio.run(decode(codings, body, limit))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """``data`` cut at these places, each taken modulo its length."""
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


class TestGzip:
    @given(
        members=st.lists(st.binary(max_size=200), min_size=1, max_size=6),
        zeros=st.sampled_from([0, 1, 9, 10_000]),
        places=st.lists(st.integers(0, 10_000), max_size=8),
    )
    def test_members_and_padding_however_they_are_cut(
        self, members: list[bytes], zeros: int, places: list[int]
    ) -> None:
        body = b"".join(map(gzip.compress, members)) + bytes(zeros)
        assert gunzip(cut(body, places)) == b"".join(members)
        assert whole(["gzip"], body) == b"".join(members)

    @given(
        members=st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=3),
        short=st.integers(1, 60),
    )
    def test_what_ends_within_a_member_is_refused(self, members: list[bytes], short: int) -> None:
        last = gzip.compress(members[-1])
        body = b"".join(map(gzip.compress, members[:-1])) + last[: -min(short, len(last) - 1)]
        for read in (lambda: gunzip([body]), lambda: whole(["gzip"], body)):
            with pytest.raises(ApiError, match="the data ends too early") as raised:
                read()
            assert (raised.value.status, raised.value.code) == (400, "invalid_encoding")

    @pytest.mark.parametrize("tail", [b"garbage", b"\x1f\x8bgarbage", b"\0\0x", b"\x1f", b"{}"])
    def test_what_is_no_member_is_refused(self, tail: bytes) -> None:
        body = gzip.compress(b"one") + tail
        for parts in ([body], [body[:-1], body[-1:]]):
            with pytest.raises(ApiError) as raised:
                gunzip(parts)
            assert (raised.value.status, raised.value.code) == (400, "invalid_encoding")
        with pytest.raises(ApiError):
            whole(["gzip"], body)

    def test_a_wrong_checksum(self) -> None:
        body = bytearray(gzip.compress(b"one") + gzip.compress(b"two"))
        body[-8] ^= 1
        with pytest.raises(ApiError, match="member 2 is damaged"):
            gunzip([bytes(body)])

    def test_nothing_is_not_gzip(self) -> None:
        with pytest.raises(ApiError, match="ends too early"):
            whole(["gzip"], b"")

    def test_a_large_stream_in_pieces(self) -> None:
        plain = random.Random(5).randbytes(300_000) * 10
        pieces = list(Gunzip().feed(gzip.compress(plain, 1)))
        assert b"".join(pieces) == plain
        assert max(map(len, pieces)) < 2 * 2**20 + 1


def test_a_bomb_is_given_up_before_it_fills_the_memory() -> None:
    layer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(layer.compress(bytes(2**20)) for _ in range(100)) + layer.flush()
    for body in (bomb, gzip.compress(b"x") + bomb):
        tracemalloc.start()
        with pytest.raises(DecompressionTooLarge):
            whole(["gzip"], body, 2**20)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 16 * 2**20
    with pytest.raises(DecompressionTooLarge):
        whole(["zstd"], zstandard.compress(bytes(100 * 2**20)), 2**20)
    with pytest.raises(DecompressionTooLarge):
        whole(["gzip", "gzip"], gzip.compress(bomb), 2**20)


@pytest.mark.parametrize(
    ("lines", "codings"),
    [
        ([], []),
        ([b""], []),
        ([b"identity"], []),
        ([b" , ,"], []),
        ([b"gzip"], ["gzip"]),
        ([b"x-gzip"], ["gzip"]),
        ([b" GZip\t"], ["gzip"]),
        ([b"gzip, zstd"], ["gzip", "zstd"]),
        ([b"gzip,identity ,ZSTD"], ["gzip", "zstd"]),
        ([b"gzip", b"zstd"], ["gzip", "zstd"]),
        ([b"gzip, gzip, gzip, gzip"], ["gzip"] * 4),
    ],
)
def test_the_header_is_a_list(lines: list[bytes], codings: list[str]) -> None:
    assert codings_of(lines) == codings


@pytest.mark.parametrize(
    "line",
    [b"br", b"deflate", b"gzip, br", b"gzip;q=1", b"gzip zstd", b"*", b"g\xff", b"gzip," * 5],
)
def test_other_codings_are_refused(line: bytes) -> None:
    with pytest.raises(ApiError) as raised:
        codings_of([line])
    assert (raised.value.status, raised.value.code) == (415, "unsupported_encoding")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (zstandard.compress(b"a") + zstandard.compress(b"b"), b"ab"),
        (zstandard.compress(b"a") + SKIPPABLE + zstandard.compress(b"b"), b"ab"),
        (SKIPPABLE, b""),
        (zstandard.compress(b"a") + b"\0\0", None),
        (zstandard.compress(b"a" * 99)[:-1], None),
        (b"", None),
    ],
)
def test_frames_of_zstd(body: bytes, found: bytes | None) -> None:
    if found is not None:
        assert whole(["zstd"], body) == found
        return
    with pytest.raises(ApiError) as raised:
        whole(["zstd"], body)
    assert (raised.value.status, raised.value.code) == (400, "invalid_encoding")


PLAIN = b"".join(b'{"value":%d}\n' % n for n in range(6))
MEMBERS = b"".join(gzip.compress(line + b"\n", mtime=0) for line in PLAIN.splitlines())


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([("Content-Encoding", "gzip")], MEMBERS),
        ([("Content-Encoding", "X-GZIP")], MEMBERS + bytes(512)),
        ([("Content-Encoding", "gzip, zstd")], zstandard.compress(MEMBERS)),
        (
            [("Content-Encoding", "zstd"), ("Content-Encoding", "gzip")],
            gzip.compress(zstandard.compress(PLAIN), mtime=0),
        ),
        ([("Content-Encoding", "identity")], PLAIN),
        ([("Content-Encoding", "")], PLAIN),
    ],
    ids=["gzip", "x-gzip and zeros", "a list", "two lines", "identity", "nothing"],
)
def test_lines_in_each_coding(
    http: httpx.Client, single: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    def parts() -> object:
        yield from cut(body, [1, 19, 40, 41, 90])

    for content in (body, parts()):
        answer = http.post(
            f"/v1/topics/{single}/records",
            content=content,
            headers=[("Content-Type", "application/x-ndjson"), *headers],
        )
        assert answer.status_code == 200
        assert len(answer.text.splitlines()) == 6
    assert http.get(f"/v1/topics/{single}").json()["partitions"][0]["end_offset"] == 12


@pytest.mark.parametrize("coding", ["gzip", "x-gzip"])
def test_a_whole_body_of_several_members(http: httpx.Client, single: str, coding: str) -> None:
    plain = json.dumps({"records": [{"value": n} for n in range(100)]}).encode()
    body = b"".join(gzip.compress(plain[at : at + 100]) for at in range(0, len(plain), 100))
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = http.post(f"/v1/topics/{single}/records", content=body + bytes(9), headers=headers)
    assert len(answer.json()["records"]) == 100
    for bad in (body[:-1], body + b"!", b""):
        answer = http.post(f"/v1/topics/{single}/records", content=bad, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_encoding")
    assert http.get(f"/v1/topics/{single}").json()["partitions"][0]["end_offset"] == 100


def test_lines_before_the_fault_stay(http: httpx.Client, single: str) -> None:
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    path = f"/v1/topics/{single}/records"

    def parts() -> object:
        yield MEMBERS
        yield b"garbage"

    for content, first in ((MEMBERS + b"garbage", 0), (parts(), 6)):
        answer = http.post(path, content=content, headers=headers)
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert [line["offset"] for line in lines[:-1]] == list(range(first, first + 6))
        assert lines[-1]["error"]["code"] == "invalid_encoding"


def test_administrative_bodies_may_be_compressed(http: httpx.Client, single: str) -> None:
    body = gzip.compress(b'{"settings":{"retention.ms":') + gzip.compress(b"77777}}")
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = http.patch(f"/v1/topics/{single}", content=body, headers=headers)
    settings = {one["name"]: one["value"] for one in answer.json()["settings"]}
    assert settings["retention.ms"] == "77777"
    answer = http.patch(f"/v1/topics/{single}", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_encoding")
    headers["Content-Encoding"] = "br"
    assert http.patch(f"/v1/topics/{single}", content=b"{}", headers=headers).status_code == 415


def test_a_stream_of_nothing_is_read_in_bounded_memory(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    """A thousand times as many empty lines as there are bytes."""
    broker = start_broker()
    layer = zlib.compressobj(9, wbits=31)
    body = b"".join(layer.compress(b"\n" * 2**20) for _ in range(120)) + layer.flush()
    with broker.client() as http:
        http.post("/v1/topics", json={"name": "t", "partitions": 1}).raise_for_status()
        before = broker.memory_bytes
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        answer = http.post("/v1/topics/t/records", content=body, headers=headers)
        assert (answer.status_code, answer.text) == (200, "")
    assert broker.peak_memory_bytes - before < 64 * 2**20
