"""A simulated disk for SQLite: it loses unsynced data on power loss, and can fail operations."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

SECTOR = 512
NAME = "losing"
BELOW = apsw.vfs_names()[0]

Image = dict[str, bytes]


class Disk:
    """The durable content of each file, and the writes that are not synced."""

    def __init__(self) -> None:
        self.syncs = True
        self.reads = True
        self._durable: defaultdict[str, bytearray] = defaultdict(bytearray)
        self._pending: defaultdict[str, list[tuple[int, bytes | None]]] = defaultdict(list)
        self._steps_left = -1
        self._on_loss: Callable[[Image], None] = lambda _: None
        self._random = random.Random()
        self._lock = threading.Lock()

    def lose_power(self, rng: random.Random, steps: int, on_loss: Callable[[Image], None]) -> None:
        """Lose power after some more steps: call `on_loss` with the files that remain on the disk.

        The disk continues to work afterwards, so that the run can end normally.
        """
        with self._lock:
            self._random, self._steps_left, self._on_loss = rng, steps, on_loss

    def write(self, path: str, offset: int, data: bytes | None) -> None:
        """Record a write that is not durable yet; None truncates the file at `offset`."""
        with self._lock:
            self._step()
            self._pending[path].append((offset, data))

    def sync(self, path: str) -> None:
        """Make all writes to a file durable."""
        with self._lock:
            self._step()
            if not self.syncs:
                raise apsw.IOError("the disk does not sync")
            for offset, data in self._pending.pop(path, []):
                _apply(self._durable[path], offset, data)

    def delete(self, path: str) -> None:
        """Delete a file, durably."""
        with self._lock:
            self._durable.pop(path, None)
            self._pending.pop(path, None)

    def _step(self) -> None:
        if self._steps_left == 0:
            self._on_loss(self._image())
        self._steps_left -= 1

    def _image(self) -> Image:
        """Return the durable content with a random part of the other writes.

        A write may be torn: only its first sectors are then on the disk.
        """
        written_share = self._random.choice([0.0, 0.0, 0.0, 0.5, 0.95])
        image = {path: bytearray(content) for path, content in self._durable.items()}
        for path, pending in self._pending.items():
            for offset, data in pending:
                if self._random.random() < written_share:
                    _apply(image.setdefault(path, bytearray()), offset, self._torn(data))
        # A file without a name is a temporary file of SQLite, which is lost.
        return {path: bytes(content) for path, content in image.items() if path}

    def _torn(self, data: bytes | None) -> bytes | None:
        if data is None or len(data) <= SECTOR or self._random.random() < 0.9:
            return data
        return data[: self._random.randrange(0, len(data), SECTOR)]


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    content.extend(bytes(max(0, offset + len(data) - len(content))))
    content[offset : offset + len(data)] = data


class _Vfs(apsw.VFS):
    """The files of the system; each change is also recorded by the disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(NAME, BELOW, makedefault=True)

    def xOpen(  # noqa: N802 - as SQLite names it
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        return _File(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)
        self._disk.delete(Path(filename).name)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        text = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        self._name = Path(text).name
        super().__init__(BELOW, name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        if not self._disk.reads:
            raise apsw.IOError("the disk does not read")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.write(self._name, offset, bytes(data))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._disk.write(self._name, newsize, None)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.sync(self._name)


@contextmanager
def simulated() -> Iterator[Disk]:
    """Put every SQLite file that is opened in this process until the block ends on such a disk."""
    disk = Disk()
    vfs = _Vfs(disk)
    try:
        yield disk
    finally:
        vfs.unregister()


def put(image: Image, directory: Path) -> None:
    """Write the files of an image into a directory."""
    directory.mkdir()
    for name, content in image.items():
        (directory / name).write_bytes(content)
