"""Whose a data directory is: ``meta.properties``, and a copy that proves that it is whole.

``meta.properties`` is Apache Kafka's (``MetaProperties.java``). Where it is lost or damaged the
copy, ``meta-checkpoint``, puts it right; where somebody changed it, it counts::

    version: 1
    cluster.id: <22 characters of URL-safe base64>
    node.id: 1
    directory.id: <22 characters of URL-safe base64>
    checksum: 5f2c09ab
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from operator import ne
from typing import NamedTuple
from uuid import UUID

from tidelog.storage.errors import DirectoryUnreadable, DiskFull
from tidelog.storage.files import Disk, join
from tidelog.storage.local import file_names
from tidelog.storage.local.partition_metadata import encode_uuid
from tidelog.storage.local.sealed_text import decode_sealed, encode_sealed

_VERSION = "1"
_FIRST_NODE = 1
_NAMES = ("version", "cluster.id", "node.id", "directory.id")


class Identity(NamedTuple):
    """``findings`` say what was put right or changed."""

    cluster_id: str
    node_id: int
    findings: list[str]


def identify(
    disk: Disk, directory: str, node_id: int | None, new_id: Callable[[], UUID]
) -> Identity:
    """A directory's identity; a new one is given it. ``node_id`` None: the one it has, or 1.

    Raises DirectoryUnreadable, DiskFull, OSError.
    """
    path = join(directory, file_names.META_PROPERTIES)
    content = disk.read_bytes(path) if disk.exists(path) else None
    own = None if content is None else _parse(content)
    copy_path = join(directory, file_names.META_COPY)
    copy = _read_copy(disk, copy_path)
    known, findings = _settle(path, content, own, copy, node_id, new_id)
    if content is None and copy is None and disk.exists(join(directory, file_names.CATALOG)):
        findings = [f"{path} is missing: the directory gets another cluster.id"]
    if own != known:
        if content is not None:
            disk.rename(path, path + ".damaged")
        disk.write_atomically(path, _properties(known))
    if node_id not in (None, int(known["node.id"])):
        reason = f"it belongs to node.id={known['node.id']}, not to {node_id}"
        raise DirectoryUnreadable(directory, reason)
    if copy != known:
        # It serves as well without, until there is room.
        with suppress(DiskFull):
            disk.write_atomically(copy_path, encode_sealed(known))
    return Identity(known["cluster.id"], int(known["node.id"]), findings)


def _parse(content: bytes) -> dict[str, str] | None:
    """What the properties say, None where they cannot be right."""
    lines = content.decode(errors="replace").splitlines()
    pairs = dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
    sound = pairs.get("version") == _VERSION and pairs.get("cluster.id")
    if not sound or not pairs.get("node.id", "").isdecimal():
        return None
    return {name: pairs[name] for name in _NAMES if name in pairs}


def _properties(known: dict[str, str]) -> bytes:
    return "".join(f"{name}={value}\n" for name, value in known.items()).encode()


def _read_copy(disk: Disk, path: str) -> dict[str, str] | None:
    if disk.exists(path):
        with suppress(ValueError):
            return decode_sealed(disk.read_bytes(path))
    return None


def _settle(
    path: str,
    content: bytes | None,
    own: dict[str, str] | None,
    copy: dict[str, str] | None,
    node_id: int | None,
    new_id: Callable[[], UUID],
) -> tuple[dict[str, str], list[str]]:
    """What counts, and what there is to tell of it."""
    if own is None and copy is not None:
        what = "is missing" if content is None else "is damaged"
        return copy, [f"{path} {what}, and was made again from its copy"]
    if own is None and content is not None:
        reason = "meta.properties is not one of version 1 with a cluster.id and a node.id"
        raise DirectoryUnreadable(path.rpartition("/")[0], reason)
    if own is None:
        node = _FIRST_NODE if node_id is None else node_id
        return dict(
            zip(
                _NAMES,
                (_VERSION, encode_uuid(new_id()), str(node), encode_uuid(new_id())),
                strict=True,
            )
        ), []
    if content is None or copy is None or copy == own:
        return own, []
    if own["node.id"] == copy["node.id"] and _differing_bytes(content, _properties(copy)) == 1:
        return copy, [f"{path} is damaged, and was made again from its copy"]
    changed = ", ".join(f"{name}={value}" for name, value in copy.items() if own.get(name) != value)
    return own, [f"{path} is not what it was: {changed} before"]


def _differing_bytes(one: bytes, other: bytes) -> int | None:
    """How many there are; None where even the lengths differ."""
    return sum(map(ne, one, other)) if len(one) == len(other) else None
