"""Content codings of a request's body (RFC 9110 8.4): gzip, also called x-gzip, and zstd.

A body of gzip is one member or more, one after the other (RFC 1952 2.2); zeros may follow the
last, as gzip(1) has it, and nothing else. A body of zstd is one frame or more. Whatever the bytes
claim, no more than a bound comes out, a piece at a time.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable, Iterator

from tidelog.api.errors import ApiError
from tidelog.storage.batches.compression import ZSTD, decompress
from tidelog.storage.errors import CorruptBatch, DecompressionTooLarge

GZIP_CODING, ZSTD_CODING = "gzip", "zstd"
_NAMES = {"gzip": GZIP_CODING, "x-gzip": GZIP_CODING, "zstd": ZSTD_CODING}
_CODINGS_MAX = 4
"""Every coding of a list may multiply the work of the one before."""

_PIECE_BYTES = 1024 * 1024
_FED_BYTES = 64 * 1024
_SLICE_BYTES = 8 * 1024
"""What follows a member is copied once for each; small members make that many times."""


def codings_of(lines: Iterable[bytes]) -> list[str]:
    """The codings in the order in which they were applied, from the lines of the header.

    Raises ApiError for an unknown one and for more than anyone needs.
    """
    names = b",".join(lines).decode("latin-1").split(",")
    codings = []
    for name in (part.strip().lower() for part in names):
        if name in ("", "identity"):
            continue
        if name not in _NAMES:
            raise _unsupported(f"content encoding {name!r} is not supported")
        codings.append(_NAMES[name])
    if len(codings) > _CODINGS_MAX:
        raise _unsupported(f"more than {_CODINGS_MAX} content encodings are not supported")
    return codings


async def decode(codings: list[str], body: bytes, limit: int) -> bytes:
    """The whole body before its codings. Raises ApiError, DecompressionTooLarge."""
    for coding in reversed(codings):
        body = await (_gunzip if coding == GZIP_CODING else _unzstd)(body, limit)
    return body


class Gunzip:
    """Undoes gzip piece by piece."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._members_ended = 0
        self._is_between = False
        self._is_padding = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What comes out, in pieces of up to about a megabyte.

        Raises ApiError, after what came before the fault.
        """
        view = memoryview(data)
        ready = bytearray()
        for at in range(0, len(view), _SLICE_BYTES):
            part: bytes | memoryview = view[at : at + _SLICE_BYTES]
            while len(part):
                try:
                    piece, part = self._take(part)
                except ApiError:
                    if ready:
                        yield bytes(ready)
                    raise
                ready += piece
                if len(ready) >= _PIECE_BYTES:
                    yield bytes(ready)
                    ready.clear()
        if ready:
            yield bytes(ready)

    def _take(self, part: bytes | memoryview) -> tuple[bytes, bytes | memoryview]:
        """Some output, and the input that is left."""
        if self._is_between:
            self._is_padding = self._is_padding or not part[0]
            if self._is_padding:
                if bytes(part).strip(b"\0"):
                    raise _not_decodable(GZIP_CODING, "something follows the zeros after its end")
                return b"", b""
            self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            self._is_between = False
        try:
            piece = self._member.decompress(part, _PIECE_BYTES)
        except zlib.error as error:
            where = f"member {self._members_ended + 1}" if self._members_ended else "it"
            raise _not_decodable(GZIP_CODING, f"{where} is damaged: {error}") from error
        if not self._member.eof:
            return piece, self._member.unconsumed_tail
        self._members_ended += 1
        self._is_between = True
        return piece, self._member.unused_data

    def end(self) -> None:
        """Nothing more comes. Raises ApiError within a member."""
        if not self._is_between:
            raise _not_decodable(GZIP_CODING, "the data ends too early")


async def _gunzip(body: bytes, limit: int) -> bytes:
    """Others have their turn between the pieces of a large body."""
    gunzip = Gunzip()
    pieces: list[bytes] = []
    size = 0
    for at in range(0, len(body), _FED_BYTES):
        if at:
            await asyncio.sleep(0)
        for piece in gunzip.feed(body[at : at + _FED_BYTES]):
            size += len(piece)
            if size > limit:
                raise DecompressionTooLarge(limit)
            pieces.append(piece)
    gunzip.end()
    return b"".join(pieces)


async def _unzstd(body: bytes, limit: int) -> bytes:
    try:
        return bytes(decompress(ZSTD, body, limit))
    except CorruptBatch as error:
        raise _not_decodable(ZSTD_CODING, error.reason) from error


def _unsupported(reason: str) -> ApiError:
    message = f"{reason}; gzip, zstd and identity are"
    return ApiError(415, "unsupported_encoding", message)


def _not_decodable(name: str, reason: str) -> ApiError:
    return ApiError(400, "invalid_encoding", f"the body is not valid {name}: {reason}")
