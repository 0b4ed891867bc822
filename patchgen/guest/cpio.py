"""Write an archive in the "newc" format, which the kernel unpacks at boot.

Documentation/early-userspace/buffer-format.txt of the kernel describes it. Device nodes need no root, since
nothing is made on disk; everything belongs to root and has the same date, so the same input gives the same bytes.
"""

from __future__ import annotations

import stat

_ALIGN = 4
_BLOCK = 512


class Archive:
    """An archive that grows entry by entry; parents go in before what they hold."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._inode = 0

    def directory(self, path: str, mode: int = 0o755) -> None:
        """Add a directory."""
        self._entry(path, stat.S_IFDIR | mode, links=2)

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Add a regular file."""
        self._entry(path, stat.S_IFREG | mode, data)

    def symlink(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def device(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        """Add a character device node."""
        self._entry(path, stat.S_IFCHR | mode, device=(major, minor))

    def finish(self) -> bytes:
        """Return the whole archive. Archives can be put one after the other: the kernel unpacks them in turn."""
        self._inode = -1  # The trailer's is 0.
        self._entry("TRAILER!!!", 0)
        data = b"".join(self._chunks)
        return data + b"\0" * (-len(data) % _BLOCK)

    def _entry(
        self, path: str, mode: int, data: bytes = b"", *, links: int = 1, device: tuple[int, int] = (0, 0)
    ) -> None:
        self._inode += 1
        name = path.lstrip("/").encode() + b"\0"
        # ino, mode, uid, gid, nlink, mtime, filesize, dev major and minor, rdev major and minor, namesize, check
        fields = (self._inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        self._chunks += [head, b"\0" * (-len(head) % _ALIGN), data, b"\0" * (-len(data) % _ALIGN)]
