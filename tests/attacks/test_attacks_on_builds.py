"""Builds that are an attack: what a Makefile does the moment make reads it, in the sandbox of all untrusted builds."""

from __future__ import annotations

import os
import resource
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from attacks import toybuild
from attacks.builds import ATTACKS, BUILT, POISON
from attacks.catalogue import Attack, named, needs_sandbox

from patchgen import sandbox
from patchgen.base import worktree
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.errors import BuildError, PatchgenError

pytestmark = needs_sandbox

MIB = 1 << 20
LIMITS = replace(sandbox.BUILD, seconds=5, memory=256 * MIB, room=64 * MIB, file=32 * MIB, processes=64, output=MIB)
BOX = sandbox.Sandbox(LIMITS)
SECRET = "the-graders-secret"
ABSTRACT_NAME = f"\0patchgen-attack-{os.getpid()}"
CONNECT = 'import socket; s=socket.create_connection(("127.0.0.1",{port}),1); s.send(b"owned")'
ABSTRACT = (
    f'import socket; s=socket.socket(socket.AF_UNIX); s.connect(chr(0) + "{ABSTRACT_NAME[1:]}"); s.send(b"owned")'
)


@pytest.fixture
def origin(tmp_path: Path, cache: Cache) -> Source:
    where = toybuild.origin(tmp_path, cache)
    toybuild.build([toybuild.patch("fs/harmless.c", "\n")], where, cache, BOX)
    (cache.directory("ccache", "0") / "object").write_text(SECRET)
    return where


@pytest.fixture
def victims(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Listen where a build must not get to, and hide what it must not see."""
    monkeypatch.setenv("http_proxy", f"http://user:{SECRET}@proxy")
    (Path.home() / "secret").write_text(SECRET)
    with socket.create_server(("127.0.0.1", 0)) as network, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(ABSTRACT_NAME)
        abstract.listen()
        yield [network, abstract]


def snapshot(*places: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return what is in some directories: each file's mode, date and content."""
    files = [path for place in places for path in place.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path): (path.stat().st_mode, path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def on_disk(place: Path) -> int:
    """Return the bytes that the files below a directory take. Other programs change how much the disk has free."""
    return sum(path.lstat().st_blocks * 512 for path in place.rglob("*"))


def processes() -> str:
    """Return the command lines of all processes of this machine."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(lines)


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_a_hostile_build(
    attack: Attack, origin: Source, cache: Cache, tmp_path: Path, victims: list[socket.socket]
) -> None:
    home = Path.home()
    text = attack.means
    connect = CONNECT.format(port=victims[0].getsockname()[1])
    values = {"home": home, "cache": cache.root, "pid": os.getpid(), "connect": connect, "abstract": ABSTRACT}
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    # The submission's own workspace changes by being laid out, and its result is kept; nothing else may change.
    kept = ("trees", "ccache", "seeds", "bases")
    guarded = [home, tmp_path / "linux", *(cache.directory(name) for name in kept)]
    guarded.append(worktree.workspace_place(origin, "vanilla", cache).root)
    before, held = snapshot(*guarded), on_disk(tmp_path)
    begin, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shown, result, patience = "", BUILT, BOX.patience(LIMITS.seconds)
    try:
        built = toybuild.build([toybuild.patch("Makefile", text)], origin, cache, BOX)
        shown = (built.image.parent / "build.log").read_text(errors="replace")
    except BuildError as error:
        shown, result = f"{error.message}\n{error.evidence}", error.message
    assert attack.said in result, shown
    assert attack.shows in shown
    assert time.monotonic() - begin < patience * 2 + 15
    assert snapshot(*guarded) == before
    assert SECRET not in shown
    assert "mounted" not in shown
    assert select.select(victims, [], [], 0)[0] == []
    assert f"sleep 4242.{os.getpid()}" not in processes()
    assert "\x1b" not in shown
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 300 * 1024, "KiB"
    assert on_disk(tmp_path) - held < 64 * MIB
    assert not list(cache.directory("scratch").iterdir())


def test_the_next_build_is_not_harmed(origin: Source, cache: Cache) -> None:
    toybuild.build([toybuild.patch("Makefile", POISON.means)], origin, cache, BOX)
    harmless = toybuild.patch("kernel/fork.c", "int changed;\n")
    assert toybuild.build([harmless], origin, cache, BOX).image.read_text() == "int changed;\n"
    assert toybuild.build([toybuild.patch("fs/new.c", "x\n")], origin, cache, BOX).image.read_bytes() == (
        toybuild.FILES["kernel/fork.c"].data
    )


def test_a_tree_of_another_shape_does_not_stay(origin: Source, cache: Cache) -> None:
    gone = toybuild.patch("kernel/empty.c", "").replace(b"new file", b"deleted file")
    remove = toybuild.patch("MAINTAINERS", "").replace(b"+++ b/MAINTAINERS", b"+++ /dev/null")
    remove = remove.replace(b"MAINTAINERS\n---", b"MAINTAINERS\ndeleted file mode 100644\n---", 1)
    assert gone
    toybuild.build([remove, toybuild.patch("MAINTAINERS/x", "y\n")], origin, cache, BOX)
    assert toybuild.build([toybuild.patch("fs/new.c", "x\n")], origin, cache, BOX)
    files = worktree.workspace_place(origin, "submission-box", cache).files
    assert (files / "MAINTAINERS").read_bytes() == toybuild.FILES["MAINTAINERS"].data
    assert not (files / "MAINTAINERS/x").exists()


def test_what_is_new_is_compiled_whenever_the_base_was_built(origin: Source, cache: Cache) -> None:
    """The base's objects may be younger than a submission's files: one that is graded again after the base."""
    harmless = toybuild.patch("kernel/fork.c", "int changed;\n")
    first = toybuild.build([harmless], origin, cache, BOX)
    for place in (first.image.parent, cache.directory("seeds")):
        for path in place.rglob("*"):
            path.unlink()
        place.rmdir()
    (worktree.workspace_place(origin, "vanilla", cache).output("toy") / "object.o").unlink()
    assert toybuild.build([harmless], origin, cache, BOX).image.read_text() == "int changed;\n"


def test_without_a_sandbox_untrusted_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    sandbox.why_not.cache_clear()
    try:
        with pytest.raises(PatchgenError, match="there is none here: bwrap is not installed") as caught:
            sandbox.sandbox_for_untrusted(trust=False)
        assert "--trust" in caught.value.hint
        assert caught.value.exit_status == 3
        assert sandbox.sandbox_for_untrusted(trust=True) is None
    finally:
        sandbox.why_not.cache_clear()
