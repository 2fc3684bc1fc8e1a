"""A real disk that refuses what a test names: an action, a pattern of paths, an error number."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase

from tidelog.storage.buffers import Buffer
from tidelog.storage.files import Disk, File, refused

_TRANSLATED = {"open", "write_new", "write_atomically"}
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class RefusingFile(File):
    """Its appends (``append``), reads (``read``) and syncs (``sync``) can be refused."""

    def __init__(self, disk: RefusingDisk, path: str, descriptor: int) -> None:
        super().__init__(path, descriptor)
        self._disk = disk

    def _write(self, data: Buffer, position: int) -> int:
        self._disk.check("append", self.path)
        return super()._write(data, position)

    def read_at(self, position: int, size: int) -> Buffer:
        self._disk.check("read", self.path)
        return super().read_at(position, size)

    def _read_into(self, buffer: bytearray, position: int) -> int:
        self._disk.check("read", self.path)
        return super()._read_into(buffer, position)

    def sync(self) -> None:
        self._disk.check("sync", self.path)
        super().sync()


class RefusingDisk(Disk):
    """Other actions have the names of ``Disk``'s methods."""

    def __init__(self) -> None:
        self._refused: list[tuple[str, str, int]] = []

    @contextmanager
    def refusing(self, action: str, pattern: str, number: int) -> Iterator[None]:
        """Refuse ``action`` for paths like ``*/t-0/*.log``."""
        refusal = action, pattern, number
        self._refused.append(refusal)
        try:
            yield
        finally:
            self._refused.remove(refusal)

    def check(self, action: str, path: str) -> None:
        for refused_action, pattern, number in self._refused:
            if refused_action == action and fnmatchcase(path, pattern):
                error = OSError(number, os.strerror(number), path)
                if action in _TRANSLATED and number in _NO_SPACE:
                    raise refused(error, path)
                raise error

    def open(self, path: str, *, create: bool = True) -> File:
        self.check("open", path)
        return RefusingFile(self, path, super().open(path, create=create).detach())

    def make_directory(self, path: str, *, parents: bool = False) -> None:
        self.check("make_directory", path)
        super().make_directory(path, parents=parents)

    def rename(self, old: str, new: str) -> None:
        self.check("rename", old)
        super().rename(old, new)

    def remove(self, path: str) -> None:
        self.check("remove", path)
        super().remove(path)

    def remove_directory(self, path: str) -> None:
        self.check("remove_directory", path)
        super().remove_directory(path)

    def sync_directory(self, path: str) -> None:
        self.check("sync_directory", path)
        super().sync_directory(path)

    def sizes(self, directory: str) -> dict[str, int]:
        self.check("sizes", directory)
        return super().sizes(directory)

    def read_bytes(self, path: str) -> bytes:
        self.check("read_bytes", path)
        return super().read_bytes(path)

    def write_new(self, path: str, data: Buffer) -> None:
        self.check("write_new", path)
        super().write_new(path, data)

    def write_atomically(self, path: str, data: Buffer) -> None:
        self.check("write_atomically", path)
        super().write_atomically(path, data)
