"""Where a tool reads a submission's bytes: in the sandbox, with limits; trusted work in a directory of its own.

git and its like are large C programs that were not written for hostile input, and some of it makes them run for minutes
or fill a disk. So each of them gets its input as files that it can only read, works in memory, and hands its results
back as one archive of limited size. One start of the sandbox serves all files of a submission.
"""

from __future__ import annotations

import dataclasses
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from patchgen import process
from patchgen.cache import Cache
from patchgen.errors import MachineError, OverLimitError
from patchgen.sandbox import MIB, Limits, Sandbox, open_to

# The tools see these names in the sandbox, and the real ones outside of it.
_GIVEN, _RESULT = Path("/given"), Path("/results/archive")
_READY = "the tools are there"
# Arguments: the directory of the input, the file for the results, seconds of CPU time, the program. It runs in an empty
# directory and leaves its results in `out`.
_SCRIPT = f"""
mkdir out && echo {_READY} || exit 99
given=$1; result=$2; seconds=$3; program=$4; shift 4
was_killed() {{ [ "$1" -gt 128 ] && [ "$1" -lt 192 ]; }}
(set -e; ulimit -t "$seconds"; eval "$program")
status=$?
tar --format=posix -C out -cf "$result" . || exit 98
exit $status
"""
_TRUSTED_SECONDS = 120.0
# git am takes 0.1 s of CPU time and 20 MB for a series of six patches. What counts is CPU time, since the machine may
# be busy; the wall time is for what only waits.
CPU_SECONDS = 5
LIMITS = Limits(
    seconds=20,
    memory=512 * MIB,
    address=1024 * MIB,
    processes=64,
    file=96 * MIB,
    room=256 * MIB,
    output=MIB,
)


@dataclass(frozen=True)
class Answer:
    """What a tool left.

    Attributes:
        status: its exit status.
        said: what it printed.
        files: its results by name.
    """

    status: int
    said: str
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Toolroom:
    """Where tools run.

    Attributes:
        cache: for scratch space.
        sandbox: what they are shut in; None for trusted work.
        limits: how much each run may use, in the sandbox.
        readable: directories that the tools can read where they are.
        cpu: seconds of CPU time that each process may use, in the sandbox.
    """

    cache: Cache
    sandbox: Sandbox | None
    limits: Limits = LIMITS
    readable: tuple[Path, ...] = ()
    cpu: int = CPU_SECONDS

    def run(
        self, program: str, files: Mapping[str, bytes], env: Mapping[str, str], words: Sequence[str] = ()
    ) -> Answer:
        """Run a shell program over files.

        Args:
            program: it finds the files in the directory "$given" and its own arguments in "$@", and leaves its results,
                plain files, in the directory `out`. `was_killed STATUS` says whether a signal has ended what it ran.
            files: by name.
            env: variables.
            words: the program's arguments.

        Raises:
            OverLimitError: it did not keep to its limits, or its results cannot be read.
            MachineError: it could not be started, or trusted work did not end in time.
        """
        with self.cache.scratch("tools") as scratch:
            given, result, place = scratch / "given", scratch / "result", scratch / "place"
            given.mkdir()
            place.mkdir()
            result.touch()
            for name, data in files.items():
                (given / name).write_bytes(data)
            box = self._box(given, result)
            seen = (_GIVEN, _RESULT) if box else (given, result)
            try:
                done = process.follow(
                    ["sh", "-c", _SCRIPT, "sh", *seen, str(self.cpu) if box else "unlimited", program, *words],
                    cwd=Path("/tmp") if box else place,  # noqa: S108 - the sandbox's own
                    timeout=self.limits.seconds if box else _TRUSTED_SECONDS,
                    env=env,
                    sandbox=box,
                )
            except OverLimitError as error:
                raise OverLimitError(error.message.replace("sh did", "it did")) from error
            first, _, said = done.stdout.partition("\n")
            if first != _READY:
                raise MachineError("the tools cannot be started", evidence=process.tail(done.stdout))
            return Answer(done.status, said, _unpacked(result.read_bytes()))

    def _box(self, given: Path, result: Path) -> Sandbox | None:
        if self.sandbox is None:
            return None
        given.chmod(0o755)
        given.parent.chmod(0o755)
        open_to(result)
        readable = ((given, _GIVEN), *((path, path) for path in self.readable))
        return dataclasses.replace(self.sandbox, limits=self.limits, readable=readable, writable=((result, _RESULT),))


def _unpacked(data: bytes) -> dict[str, bytes]:
    """Return the plain files of an archive that a tool has left.

    Raises:
        OverLimitError: it is none: it was cut off at a limit, or it is not what tar makes.
    """
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() and 0 <= member.size <= len(data) else None
                if content:
                    found[member.name.removeprefix("./")] = content.read()
    except (tarfile.TarError, ValueError, RecursionError, EOFError) as error:
        raise OverLimitError(f"its results cannot be read: {error}") from error
    return found
