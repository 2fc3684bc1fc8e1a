"""Small files of ``name: value`` lines that prove that they are whole.

The last line holds the CRC-32C of every byte before it, as eight hexadecimal digits::

    version: 0
    topic: orders
    checksum: 5f2c09ab
"""

from __future__ import annotations

from collections.abc import Mapping

from crc32c import crc32c

_CHECKSUM = b"checksum: "


def encode_sealed(fields: Mapping[str, str]) -> bytes:
    """Values are single lines."""
    text = "".join(f"{name}: {value}\n" for name, value in fields.items()).encode()
    return text + _CHECKSUM + b"%08x\n" % crc32c(text)


def decode_sealed(data: bytes) -> dict[str, str]:
    """Raises ValueError for anything but what ``encode_sealed`` made."""
    start = data.rfind(_CHECKSUM)
    text = data[: max(start, 0)]
    if not text or data[start:] != _CHECKSUM + b"%08x\n" % crc32c(text):
        raise ValueError("it is not whole: its checksum is missing or wrong")
    pairs = (line.partition(": ") for line in text.decode().splitlines())
    return {name: value for name, _, value in pairs}
