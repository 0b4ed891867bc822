"""The archive that is handed in: the patches and the report, packed so that the same content gives the same archive.

The tar inside is the same bytes on every machine. The gzip around it has no name and no date, but zlib
builds differ in how they compress; so what is promised, and shown, is the hash of the tar.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

from patchgen.submission.archive import DIRECTORY


@dataclass(frozen=True)
class Bundle:
    """A packed submission.

    Attributes:
        data: the gzipped archive.
        digest: SHA-256 of the tar inside, in hexadecimal.
        names: its members, in order.
    """

    data: bytes
    digest: str
    names: tuple[str, ...]


def pack(files: Mapping[str, bytes], mtime: int) -> Bundle:
    """Pack files into one directory called patch.

    Args:
        files: content by name.
        mtime: modification time of every member, seconds since 1970.
    """
    buffer = io.BytesIO()
    names = []
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(f"{DIRECTORY}/{name}")
            member.size = len(files[name])
            member.mtime = mtime
            member.mode = 0o644
            member.uname = member.gname = "root"
            archive.addfile(member, io.BytesIO(files[name]))
            names.append(member.name)
    plain = buffer.getvalue()
    return Bundle(gzip.compress(plain, mtime=0), hashlib.sha256(plain).hexdigest(), tuple(names))
