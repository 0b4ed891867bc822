"""Runs inside the sandbox, with nothing but Python, and prints as JSON what a program there can read and write.

What can be written is tried, not asked: each file is opened for writing, in each directory a file is made. Arguments
are directories that are passed over.
"""

import fcntl
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

_SKIPPED = ("/proc", *sys.argv[1:])


def descriptors() -> dict[str, object]:
    """Return what each open descriptor is, and whether opening it once more for writing works."""
    found: dict[str, object] = {}
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        path = f"/proc/self/fd/{name}"
        try:
            mode, kind = fcntl.fcntl(int(name), fcntl.F_GETFL) & os.O_ACCMODE, os.stat(path).st_mode
        except OSError:  # the directory that was just listed
            continue
        what = next(word for word, test in _KINDS.items() if test(kind))
        found[name] = {
            "is": what,
            "target": os.readlink(path),
            "mode": ("r", "w", "rw")[mode],
            "opened again": writable(path),
        }
    return found


_KINDS: dict[str, Callable[[int], bool]] = {
    "file": stat.S_ISREG,
    "directory": stat.S_ISDIR,
    "pipe": stat.S_ISFIFO,
    "socket": stat.S_ISSOCK,
    "device": stat.S_ISCHR,
    "something": lambda _: True,
}


def writable(path: str) -> bool:
    """Whether a file can be opened for writing; nothing is written."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW * (not path.startswith("/proc/self/fd"))))
    except OSError:
        return False
    return True


def readable(path: str) -> bool:
    """Whether a file can be opened for reading."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW))
    except OSError:
        return False
    return True


def can_make_files(directory: str) -> bool:
    """Whether a file can be made in a directory."""
    path = os.path.join(directory, ".inside")
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except OSError:
        return False
    os.unlink(path)
    return True


def walk(top: str, skipped: tuple[str, ...] = ()) -> tuple[int, list[str], list[str]]:
    """Return the files below a directory that can be read (how many) and written, and where files can be made."""
    count, files, places = 0, list[str](), list[str]()
    for place, names, inner in os.walk(top):
        names[:] = sorted(name for name in names if os.path.join(place, name) not in skipped)
        if can_make_files(place):
            places.append(place)
        for name in inner:
            path = os.path.join(place, name)
            if not os.path.islink(path):
                count += readable(path)
                files += [path] if writable(path) else []
    return count, files, places


def status() -> dict[str, str]:
    """Return what the kernel says of this process's rights."""
    wanted = ("Uid", "Gid", "Groups", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
    lines = (line.partition(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {name: value.strip() for name, _, value in lines if name in wanted}


def mounts() -> list[list[str]]:
    """Return each mount: where, of which kind, and whether it can be written to."""
    lines = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [[line[4], line[line.index("-") + 1], line[5].split(",")[0]] for line in lines]


def main() -> None:
    """Print it all."""
    read, written, places = dict[str, int](), list[str](), ["/"] if can_make_files("/") else []
    for place in sorted(f"/{name}" for name in os.listdir("/")):
        if place not in _SKIPPED and not os.path.islink(place):
            read[place], files, inner = walk(place)
            written += files
            places += inner
    own = str(os.getpid())
    others = tuple(f"/proc/{name}" for name in os.listdir("/proc") if name.isdigit() and name != own)
    _, files, proc_places = walk("/proc", (*others, f"/proc/{own}/task", f"/proc/{own}/fd"))
    proc_written = [path.replace(f"/proc/{own}/", "/proc/self/") for path in files]
    found = {"descriptors": descriptors(), "status": status(), "mounts": mounts(), "read": read, "written": written}
    json.dump({**found, "places": places, "proc places": proc_places, "proc written": proc_written}, sys.stdout)


main()
