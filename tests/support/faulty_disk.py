"""A disk that keeps only what it promised: loses, tears, runs full and fails on command.

Files lie in a real directory, so that code under test and tests read them as usual. Beside them
the disk remembers what would be there after a power cut: of a file the bytes at its last sync,
of a directory the names at its last sync. ``crash`` makes the real directory look like one of the
states in which a power cut may leave it. Directories themselves are taken to be durable.

Faults: ``room_bytes`` is how much more fits, ``full_for`` are endings of names for
which nothing does; ``failing_syncs`` and ``failing_writes`` make calls
fail with EIO; ``cold`` makes every read one that would wait for the disk.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

from tidelog.storage.buffers import Buffer
from tidelog.storage.errors import DiskFull
from tidelog.storage.files import Disk, File

_SECTOR_BYTES = 64
"""What is written as a whole or not at all; small, so that small test files have several."""


class _Node:
    """The content of a file, whatever its name is."""

    def __init__(self, durable: bytes) -> None:
        self.durable = durable
        self.removed_content: bytes | None = None


_Change = Callable[[dict[str, _Node]], None]


class FaultyFile(File):
    """A file whose syncs are noted and whose writes can fail."""

    def __init__(self, disk: FaultyDisk, path: str, descriptor: int, node: _Node) -> None:
        super().__init__(path, descriptor)
        self._disk = disk
        self._node = node

    def _write(self, data: Buffer, position: int) -> int:
        disk = self._disk
        if disk.failing_writes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.path.endswith(disk.full_for):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if disk.room_bytes is not None:
            if disk.room_bytes <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = memoryview(data)[: disk.room_bytes]
            disk.room_bytes -= len(data)
        return super()._write(data, position)

    def read_at(self, position: int, size: int) -> Buffer:
        data = super().read_at(position, size)
        self._disk.read_bytes_by_path[self.path] = self._disk.read_bytes_by_path.get(
            self.path, 0
        ) + len(data)
        return data

    def _read_into(self, buffer: bytearray, position: int) -> int:
        if self._disk.cold:
            raise BlockingIOError(errno.EAGAIN, "cold")
        return super()._read_into(buffer, position)

    def sync(self) -> None:
        if self._disk.failing_syncs:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._disk.syncs.append(self.path)
        self._node.durable = bytes(super().read_at(0, os.fstat(self._descriptor).st_size))


class FaultyDisk(Disk):
    """A real directory below ``root``, and what of it would outlive a power cut."""

    def __init__(self, root: str | Path) -> None:
        """Whatever lies below ``root`` is durable."""
        self.root = str(root)
        self.room_bytes: int | None = None
        self.full_for: tuple[str, ...] = ()
        self.failing_syncs = False
        self.failing_writes = False
        self.cold = False
        self.syncs: list[str] = []
        self.read_bytes_by_path: dict[str, int] = {}
        self._names: dict[str, _Node] = {}
        for directory, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(directory, name)
                self._names[path] = _Node(Path(path).read_bytes())
        self._durable_names = dict(self._names)
        self._pending: dict[str, list[_Change]] = {}

    # What would be durable

    def _change(self, path: str, change: _Change) -> None:
        """Change names now, and durably when the directory of ``path`` is synced."""
        change(self._names)
        self._pending.setdefault(os.path.dirname(path), []).append(change)

    def _create(self, path: str, durable: bytes = b"") -> None:
        if path not in self._names:
            node = _Node(durable)
            self._change(path, lambda names: names.__setitem__(path, node))
        elif durable:
            self._names[path].durable = durable

    def crash(self, source: random.Random) -> FaultyDisk:
        """Cut the power: the directory as a new disk finds it. This one is of no use any more.

        Of each directory some first part of the changes since its last sync is kept; of each
        file some first part of the bytes since its last sync, possibly with zeros after it or
        in it where the file system had noted a size but not written the bytes.
        """
        names = dict(self._durable_names)
        for directory in sorted(self._pending):
            changes = self._pending[directory]
            for change in changes[: source.randint(0, len(changes))]:
                change(names)
        now = {node: path for path, node in self._names.items()}
        contents = {
            path: _after_power_cut(node.durable, self._content(node, now), source)
            for path, node in sorted(names.items())
        }
        for path in self._names:
            os.unlink(path)
        for path, content in contents.items():
            Path(path).write_bytes(content)
        return type(self)(self.root)

    def _content(self, node: _Node, now: dict[_Node, str]) -> bytes:
        if node.removed_content is not None:
            return node.removed_content
        return Path(now[node]).read_bytes()

    # Disk

    def open(self, path: str, *, create: bool = True) -> FaultyFile:
        if self.room_bytes is not None and self.room_bytes <= 0 and path not in self._names:
            raise DiskFull(path)
        if create:
            self._create(path)
        descriptor = super().open(path, create=create).detach()
        return FaultyFile(self, path, descriptor, self._names[path])

    def rename(self, old: str, new: str) -> None:
        if os.path.isdir(old):
            self._rename_directory(old, new)
            return
        replaced = self._names.get(new)
        if replaced is not None:
            replaced.removed_content = Path(new).read_bytes()
        super().rename(old, new)
        self._change(new, lambda names: _rename(names, old, new))

    def _rename_directory(self, old: str, new: str) -> None:
        """With all in it, durably."""
        super().rename(old, new)
        for change in self._pending.pop(old, []):
            change(self._durable_names)
        for names in (self._names, self._durable_names):
            for path in [path for path in names if os.path.dirname(path) == old]:
                names[os.path.join(new, os.path.basename(path))] = names.pop(path)

    def remove(self, path: str) -> None:
        node = self._names.get(path)
        if node is not None:
            node.removed_content = Path(path).read_bytes()
            self._change(path, lambda names: _remove(names, path))
        super().remove(path)

    def sync_directory(self, path: str) -> None:
        if self.failing_syncs:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync_directory(path)
        self.syncs.append(path)
        for change in self._pending.pop(path, []):
            change(self._durable_names)

    def write_new(self, path: str, data: Buffer) -> None:
        if self.room_bytes is not None and self.room_bytes < len(data):
            raise DiskFull(path)
        self._create(path)
        super().write_new(path, data)

    def write_atomically(self, path: str, data: Buffer) -> None:
        if self.room_bytes is not None and self.room_bytes < len(data):
            raise DiskFull(path)
        self._create(path + ".tmp", bytes(data))
        super().write_atomically(path, data)


def _remove(names: dict[str, _Node], path: str) -> None:
    names.pop(path, None)


def _rename(names: dict[str, _Node], old: str, new: str) -> None:
    node = names.pop(old, None)
    if node is not None:
        names[new] = node


def _after_power_cut(durable: bytes, written: bytes, source: random.Random) -> bytes:
    """One of the contents that a file may have after it was ``written`` but not synced."""
    if written == durable:
        return durable
    choice = source.randrange(5)
    if choice == 0:
        return durable
    if choice == 1:
        return written
    if not written.startswith(durable):
        return durable if choice < 3 else written
    kept = source.randint(len(durable), len(written))
    if choice == 2:
        return written[:kept]
    sectors = range(-(-len(durable) // _SECTOR_BYTES) * _SECTOR_BYTES, len(written), _SECTOR_BYTES)
    if not sectors:
        return written[:kept]
    kept = source.choice(sectors)
    later = min(kept + source.randint(1, len(sectors)) * _SECTOR_BYTES, len(written))
    rest = written[later:] if choice == 4 else b""
    return written[:kept] + bytes(later - kept) + rest
