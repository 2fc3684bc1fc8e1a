"""Content codings of answers: zstd or gzip, as Accept-Encoding allows (RFC 9110 12.5.3).

Text is compressed where it is long enough to gain from it, at the fastest level: what is sent to
the next machine is waited for, what is sent within this one costs little. Streams of lines are
flushed with every part, so that none is held back. Events, stored batches and what is coded
already go as they are.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Sequence
from functools import lru_cache

import cramjam

from tidelog.api.http.request_reply import EVENT_STREAM, JSON, NDJSON, Message, Send

GZIP, ZSTD = b"gzip", b"zstd"
_CODINGS = (ZSTD, GZIP)
"""The best first."""
_ALIASES = {b"x-gzip": GZIP}
_LEVEL = 1
_SHORT_BYTES = 1024
"""What is shorter fits a packet or nearly so."""
_LONG_BYTES = 64 * 1024
"""What is longer is left to a thread."""
_CACHED_BYTES_MAX = 256
_WEIGHT = re.compile(rb"q\s*=\s*([01](?:\.[0-9]*)?|\.[0-9]+)")


def codings_of(lines: Sequence[bytes]) -> tuple[bytes, ...]:
    """Those of ours that a request's Accept-Encoding has before none, the best first."""
    header = b",".join(lines)
    return (_choose_cached if len(header) <= _CACHED_BYTES_MAX else _choose)(header)


def _choose(header: bytes) -> tuple[bytes, ...]:
    weights: dict[bytes, float] = {}
    for part in header.lower().split(b","):
        name, _, parameters = part.partition(b";")
        found = _WEIGHT.fullmatch(parameters.strip())
        name = name.strip()
        weights[_ALIASES.get(name, name)] = 1.0 if found is None else float(found[1])
    anything, least = weights.get(b"*", 0.0), weights.get(b"identity", 0.0)
    ours = [(weights.get(coding, anything), coding) for coding in _CODINGS]
    ranked = sorted(ours, key=lambda one: one[0], reverse=True)
    return tuple(coding for weight, coding in ranked if weight > 0 and weight >= least)


_choose_cached = lru_cache(maxsize=128)(_choose)


async def compress(coding: bytes, body: bytes) -> bytes:
    """The body in its coding."""
    if len(body) <= _LONG_BYTES:
        return _compress(coding, body)
    return await asyncio.to_thread(_compress, coding, body)


def _compress(coding: bytes, body: bytes) -> bytes:
    module = cramjam.zstd if coding == ZSTD else cramjam.gzip
    return bytes(module.compress(body, level=_LEVEL))


def varying(
    headers: list[tuple[bytes, bytes]], names: tuple[bytes, ...]
) -> list[tuple[bytes, bytes]]:
    """With one ``Vary`` of all that the answer depends on: some caches hear only one."""
    told = [value for name, value in headers if name == b"vary"]
    kept = [field for field in headers if field[0] != b"vary"]
    return [*kept, (b"vary", b", ".join([*told, *names]))]


class Compressing:
    """The sending side of an exchange whose client takes ``codings``, one or more."""

    def __init__(self, send: Send, codings: Sequence[bytes]) -> None:
        self._send = send
        self._coding = codings[0]
        self._has_streams = GZIP in codings
        """Of a stream of zstd some clients would read the first frame."""
        self._held: Message | None = None
        """The start of a reply whose body decides."""
        self._stream: zlib._Compress | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._held is not None:
            start, self._held = self._held, None
            await self._send_whole(start, message)
        elif self._stream is not None:
            await self._send(self._part(self._stream, message))
        else:
            await self._send(message)

    async def _begin(self, start: Message) -> None:
        headers = dict(start["headers"])
        if _is_text(headers.get(b"content-type", b"")) and b"content-encoding" not in headers:
            length = headers.get(b"content-length")
            if length is not None and int(length) >= _SHORT_BYTES:
                self._held = start
                return
            if length is None and self._has_streams:
                self._stream = zlib.compressobj(_LEVEL, wbits=zlib.MAX_WBITS | 16)
                start = _coded(start, GZIP, None)
        await self._send(start)

    async def _send_whole(self, start: Message, message: Message) -> None:
        body = message.get("body", b"")
        if body and not message.get("more_body"):
            body = await compress(self._coding, body)
            start = _coded(start, self._coding, len(body))
            message = {**message, "body": body}
        await self._send(start)
        await self._send(message)

    def _part(self, stream: zlib._Compress, message: Message) -> Message:
        body = message.get("body", b"")
        more = message.get("more_body", False)
        if body or not more:
            body = stream.compress(body) + stream.flush(
                zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH
            )
        return {**message, "body": body}


def _is_text(kind: bytes) -> bool:
    kind = kind.partition(b";")[0]
    return kind in (JSON, NDJSON) or (kind.startswith(b"text/") and kind != EVENT_STREAM)


def _coded(start: Message, coding: bytes, length: int | None) -> Message:
    headers = [field for field in start["headers"] if field[0] != b"content-length"]
    headers.append((b"content-encoding", coding))
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    return {**start, "headers": varying(headers, (b"Accept-Encoding",))}
