"""Fetching a Debian package without root.

With state directories of its own apt neither reads nor changes what is installed, and still checks signatures with the
system's keys.
"""

from __future__ import annotations

import re
from pathlib import Path

from patchgen import process
from patchgen.cache import NO_ROOM
from patchgen.errors import CommandError, DownloadError, MachineError, TimeoutExpiredError, ToolMissingError

_ATTEMPTS = 3
_UPDATE_SECONDS = 300
_ANOTHER = "another package came"
_NO_SUCH = re.compile(
    rf"^E: (?:Unable to locate package|Package '?\S+'? has no installation candidate)|^{_ANOTHER}", re.MULTILINE
)
_FULL = re.compile(r"No space left on device|[Yy]ou don't have enough free space")


def require(what: str, hint: str) -> None:
    """See that apt and dpkg-deb are there.

    Raises:
        ToolMissingError: one is not; `what` is the sentence's beginning, such as "there is no busybox".
    """
    for tool in ("apt-get", "dpkg-deb"):
        try:
            process.find(tool)
        except ToolMissingError as error:
            raise ToolMissingError(f"{what}, and no {tool} to fetch one", hint=hint) from error


def download(
    package: str, directory: Path, *, hint: str, architecture: str | None = None, seconds: float = 300
) -> Path:
    """Fetch a package into `directory`, which is to be thrown away afterwards, and return the file.

    One broken index (a mirror in the middle of its update) makes `apt-get update` fail as a whole while the
    package can still be had, so its status does not count, only whether the download then works.

    Args:
        package: its name.
        directory: where it goes, with apt's own state beside it.
        hint: what to do if that fails.
        architecture: Debian's name of one; None for this machine's.
        seconds: how long the download may take.

    Raises:
        DownloadError: no mirror has it, or none can be reached.
        MachineError: the disk is full.
    """
    for name in ("state/lists/partial", "lists/partial", "cache/archives/partial"):
        (directory / name).mkdir(parents=True)
    options: dict[str, object] = {
        "APT::Sandbox::User": "root",  # apt as root would drop to a user that cannot write here
        "Dir::State": directory / "state",
        "Dir::State::Lists": directory / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": directory / "cache",
        # Else a name that no mirror has is taken for a regular expression: linux-source-6.1 brings linux-source-6.12.
        "APT::Cmd::Pattern-Only": "true",
    }
    if architecture:
        options |= {"APT::Architecture": architecture, "APT::Architectures": architecture}
    apt = [
        process.find("apt-get"),
        "-q",
        *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
    ]
    output = ""
    for _ in range(_ATTEMPTS):
        try:
            output = process.follow([*apt, "update"], cwd=directory, timeout=_UPDATE_SECONDS).stdout
            process.run([*apt, "download", package], cwd=directory, timeout=seconds)
        except (CommandError, TimeoutExpiredError) as error:
            output = f"{output}\n{error.evidence}"
            if _FULL.search(output):
                raise MachineError(
                    f"no room to fetch {package}", hint=NO_ROOM, evidence=process.tail(output)
                ) from error
            continue
        if file := next(directory.glob(f"{package}_*.deb"), None):
            return file
        # An apt before 2.0 knows no such option.
        output = f"{_ANOTHER}: " + ", ".join(path.name for path in directory.glob("*.deb"))
        break
    why = "the mirrors do not have it" if _NO_SUCH.search(output) else "no mirror answers, or the download broke"
    raise DownloadError(f"cannot fetch the package {package} with apt: {why}", hint=hint, evidence=process.tail(output))


def unpack(package: Path, target: Path, *, seconds: float = 300) -> None:
    """Unpack a package's files below `target`.

    Raises:
        MachineError: it is damaged, or the disk is full.
    """
    try:
        process.run([process.find("dpkg-deb"), "-x", package, target], cwd=package.parent, timeout=seconds)
    except CommandError as error:
        full = _FULL.search(error.evidence)
        raise MachineError(
            f"cannot unpack {package.name}", hint=NO_ROOM if full else "", evidence=error.evidence
        ) from error
