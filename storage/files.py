"""The disk: the only module of this package that asks the operating system for anything.

``Disk`` makes and changes names, ``File`` holds bytes. Tests hand in a ``Disk`` of their own that
loses what was not synced, tears writes, or fails on command.

A ``File`` closes its descriptor when the last reference to it goes, so a thread that still reads
a segment which the broker has just dropped keeps a valid descriptor.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from tidelog.storage.buffers import Buffer, StoredBytes
from tidelog.storage.errors import (
    DirectoryInUse,
    DirectoryUnreadable,
    DiskFailed,
    DiskFull,
    StorageError,
    TooManyOpenFiles,
    WritesStopped,
)

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
_NOWAIT = getattr(os, "RWF_NOWAIT", 0)
_PROBE_BYTES = 128 * 1024
"""The page cache is asked for a byte of each so many: it takes in and drops neighbours together."""


class File:
    """An append-only file that is read anywhere; ``size`` is where the next append goes."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        status = os.fstat(descriptor)
        self.size = status.st_size
        self._descriptor = descriptor
        self._counts_names = status.st_nlink > 0
        self._nowait = bool(_NOWAIT)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    @property
    def is_gone(self) -> bool:
        """Whether it has no name any more: what is written then is lost with this process."""
        return self._counts_names and os.fstat(self._descriptor).st_nlink == 0

    def detach(self) -> int:
        """Give the descriptor away; this object is of no use any more."""
        descriptor, self._descriptor = self._descriptor, -1
        return descriptor

    def append(self, data: Buffer) -> None:
        """Write all of ``data`` at the end, or leave the file as it was.

        Raises DiskFull when it does not fit, WritesStopped when the disk fails otherwise.
        """
        try:
            written = self._write(data, self.size)
            while written < len(data):
                written += self._write(memoryview(data)[written:], self.size + written)
        except OSError as error:
            self._undo_append(error)
            if error.errno in _NO_SPACE:
                raise refused(error, self.path) from error
            raise WritesStopped(f"{self.path}: {error.strerror}") from error
        self.size += written

    def _undo_append(self, cause: OSError) -> None:
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError as error:
            raise WritesStopped(
                f"{self.path}: {cause.strerror}, and the partial write could not be undone"
            ) from error

    def _write(self, data: Buffer, position: int) -> int:
        return os.pwrite(self._descriptor, data, position)

    def read_at(self, position: int, size: int) -> Buffer:
        """Up to ``size`` bytes from ``position``; fewer only at the end. May wait for the disk."""
        return os.pread(self._descriptor, size, position)

    def read_at_now(self, position: int, size: int) -> Buffer:
        """Exactly ``size`` bytes; BlockingIOError unless the page cache has them all."""
        if not self._nowait:
            return os.pread(self._descriptor, size, position)
        buffer = bytearray(size)
        if self._read_into(buffer, position) < size and self._nowait:
            raise BlockingIOError(errno.EAGAIN, "the disk has to be waited for", self.path)
        return buffer

    def _read_into(self, buffer: bytearray, position: int) -> int:
        """How many bytes the page cache had. Raises BlockingIOError for none."""
        try:
            return os.preadv(self._descriptor, [buffer], position, _NOWAIT)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            self._nowait = False
            return os.preadv(self._descriptor, [buffer], position)

    def send_at_now(self, endpoint: int, position: int, size: int) -> int:
        """Send up to ``size`` bytes to a socket that does not block; how many it took.

        They go from the page cache to the socket and are copied by nobody. Raises
        BlockingIOError where the page cache or the socket would have to be waited for.
        """
        probe = bytearray(1)
        end = position + size
        for place in (*range(position, end, _PROBE_BYTES), end - 1) if self._nowait else ():
            self._read_into(probe, place)
        return os.sendfile(endpoint, self._descriptor, position, size)

    def sync(self) -> None:
        """Put every byte written so far on stable storage."""
        if sys.platform == "darwin":
            fcntl.fcntl(self._descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(self._descriptor)

    def truncate(self, size: int) -> None:
        """Cut the file to ``size`` bytes."""
        os.ftruncate(self._descriptor, size)
        self.size = size


class FileSlice(StoredBytes):
    """Bytes of a file; it stays open while this is kept."""

    __slots__ = ("_file", "_position", "_size")

    def __init__(self, file: File, position: int, size: int) -> None:
        self._file = file
        self._position = position
        self._size = size

    def __len__(self) -> int:
        return self._size

    def read(self, start: int = 0, size: int = sys.maxsize) -> Buffer:
        """Up to ``size`` bytes from ``start`` on; may wait for the disk."""
        return self._file.read_at(self._position + start, min(size, self._size - start))

    def read_now(self, start: int = 0, size: int = sys.maxsize) -> Buffer:
        """As ``read``. Raises BlockingIOError where the disk would have to be waited for."""
        return self._file.read_at_now(self._position + start, min(size, self._size - start))

    def send_now(self, endpoint: int, start: int, size: int) -> int:
        """Send up to ``size`` bytes from ``start`` on; as ``File.send_at_now``."""
        size = min(size, self._size - start)
        return self._file.send_at_now(endpoint, self._position + start, size)


class Disk:
    """Names on a real file system."""

    def open(self, path: str, *, create: bool = True) -> File:
        """Open for reading and appending. Raises DiskFull; FileNotFoundError unless ``create``."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        try:
            return File(path, os.open(path, flags, 0o644))
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise refused(error, path) from error
            raise

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def size(self, path: str) -> int:
        return os.stat(path).st_size

    def names(self, directory: str) -> list[str]:
        """The names in a directory, sorted. Raises DirectoryUnreadable."""
        try:
            return sorted(os.listdir(directory))
        except OSError as error:
            raise DirectoryUnreadable(directory, reason_of(error)) from error

    def sizes(self, directory: str) -> dict[str, int]:
        """Name and size of each file in a directory, but for links that lead nowhere.

        Raises DirectoryUnreadable.
        """
        try:
            with os.scandir(directory) as entries:
                return {e.name: e.stat().st_size for e in entries if _is_a_file(e)}
        except OSError as error:
            raise DirectoryUnreadable(directory, reason_of(error)) from error

    def directories(self, path: str) -> list[str]:
        """The names of the directories in one, sorted. Raises DirectoryUnreadable."""
        try:
            with os.scandir(path) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        except OSError as error:
            raise DirectoryUnreadable(path, reason_of(error)) from error

    def is_directory(self, path: str) -> bool:
        return os.path.isdir(path)

    def make_directory(self, path: str, *, parents: bool = False) -> None:
        """Create a directory unless it exists. Raises DirectoryUnreadable, DiskFull."""
        try:
            if parents:
                os.makedirs(path, exist_ok=True)
            elif not os.path.isdir(path):
                os.mkdir(path)
        except (FileExistsError, NotADirectoryError) as error:
            reason = "it, or what should hold it, is a file or leads nowhere"
            raise DirectoryUnreadable(path, reason) from error
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise refused(error, path) from error
            raise DirectoryUnreadable(path, reason_of(error)) from error

    def rename(self, old: str, new: str) -> None:
        os.replace(old, new)

    def remove(self, path: str) -> None:
        """Remove a file; it is no error when it is gone already."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def remove_directory(self, path: str) -> None:
        """Remove a directory and the files in it; no error when it is gone already."""
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(path):
                self.remove(os.path.join(path, name))
            os.rmdir(path)

    def lock(self, path: str) -> DirectoryLock:
        """Hold the directory that ``path`` lies in. Raises DirectoryInUse, DirectoryUnreadable."""
        return DirectoryLock(path)

    def sync_directory(self, path: str) -> None:
        """Make creations, renames and removals in a directory durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def space(self, path: str) -> Space:
        """The file system that holds ``path``."""
        found = os.statvfs(path)
        return Space(found.f_frsize * found.f_blocks, found.f_frsize * found.f_bavail)

    def read_bytes(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()

    def write_new(self, path: str, data: Buffer) -> None:
        """Write a file that nobody has yet and whose loss in a crash would do no harm."""
        try:
            with open(path, "wb") as file:
                file.write(data)
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise refused(error, path) from error
            raise

    def write_atomically(self, path: str, data: Buffer) -> None:
        """Replace a file's content so that a crash leaves the old or the new, durably."""
        temporary = path + ".tmp"
        try:
            descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644
            )
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            self.remove(temporary)
            if error.errno in _NO_SPACE:
                raise refused(error, path) from error
            raise
        self.rename(temporary, path)
        self.sync_directory(os.path.dirname(path))


def _is_a_file(entry: os.DirEntry[str]) -> bool:
    return not entry.is_dir() and (not entry.is_symlink() or os.path.exists(entry.path))


class Space(NamedTuple):
    """Bytes of a file system."""

    total: int
    usable: int


class DirectoryLock:
    """Holds a directory for this process until released or until the process ends."""

    def __init__(self, path: str) -> None:
        """Raises DirectoryInUse when another process holds it, DirectoryUnreadable."""
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise DirectoryUnreadable(os.path.dirname(path), reason_of(error)) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).strip()
            os.close(self._descriptor)
            pid = int(holder) if holder.isdigit() else None
            raise DirectoryInUse(os.path.dirname(path), pid) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        os.close(self._descriptor)


def join(*parts: str) -> str:
    """A path from its parts."""
    return os.path.join(*parts)


def reason_of(error: OSError) -> str:
    """What the operating system says of an error, without its number and the path."""
    return error.strerror or str(error)


def refused(error: OSError, path: str) -> StorageError:
    """What an error of the operating system means; at ``path`` unless it names another."""
    if isinstance(error.filename, str):
        path = error.filename
    if error.errno in _NO_SPACE:
        return DiskFull(path, reason_of(error))
    if error.errno in _NO_DESCRIPTOR:
        return TooManyOpenFiles(path)
    return DiskFailed(path, reason_of(error))


def allow_open_files(wanted: int) -> int:
    """Raise this process's limit of open files towards ``wanted``; the limit now in force."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


__all__: Sequence[str] = (
    "DirectoryLock",
    "Disk",
    "File",
    "FileSlice",
    "Space",
    "allow_open_files",
    "join",
    "reason_of",
    "refused",
)
