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
MAKEFILE = toybuild.FILES["Makefile"].data.decode()
BUILT = "built"  # The attack comes to nothing, and the build goes on.
ABSTRACT_NAME = f"\0patchgen-attack-{os.getpid()}"


def shell(command: str) -> str:
    """Return a Makefile that runs a command before anything else, and shows what it printed."""
    command = command.replace("$", "$$").replace("$$O", "$(O)")
    return f"ATTACK := $(shell {command})\n$(info attack: $(ATTACK))\n{MAKEFILE}"


def rule(command: str) -> str:
    """Return a Makefile whose kernel is made by a command."""
    return MAKEFILE.replace("\t@cp $(O)/object.o $(O)/arch/x86/boot/bzImage", f"\t@{command}")


RO = "everything but its own directories is read-only"
NET = "a network namespace without a way out"
ATTACKS = (
    Attack(
        "a Makefile that writes to the home directory",
        "no home directory in the sandbox",
        shell("echo x >> $HOME/../{home}/owned"),
        BUILT,
    ),
    Attack(
        "a Makefile that writes to the system: /etc, /usr, /",
        RO,
        shell("touch /etc/owned /usr/owned /owned /var/owned"),
        BUILT,
        shows="'/usr/owned': Read-only file system",
    ),
    Attack(
        "a Makefile that overwrites a source file in place, which is a hard link to everybody's",
        "the tree is read-only to its build",
        shell("echo owned > kernel/fork.c; echo owned >> $(pwd)/MAINTAINERS; rm -f Makefile"),
        BUILT,
        shows="cannot create kernel/fork.c",
    ),
    Attack(
        "a Makefile that overwrites what it is handed in: the base's objects, by /proc/self/fd/0",
        "what goes in and out goes through pipes, and no descriptor of a file",
        shell(
            "for n in 0 1 2 3 4 5 6 7 8 9; do test -f /proc/self/fd/$n && echo owned 1<>/proc/self/fd/$n; done; "
            "stat -L -c %F /proc/self/fd/0"
        ),
        BUILT,
        shows="attack: fifo",
    ),
    Attack(
        "a Makefile that makes the tree writable first",
        "a read-only mount, and nobody may remount it",
        shell("chmod -R u+w .; mount -o remount,rw .; mount -o bind /tmp ."),
        BUILT,
        shows="must be superuser to use mount",
    ),
    Attack(
        "a Makefile that puts objects of its own into the compiler cache",
        "an untrusted build sees no compiler cache",
        shell("mkdir -p {cache}/ccache/0; echo owned > {cache}/ccache/0/owned; rm -rf {cache}/ccache"),
        BUILT,
    ),
    Attack(
        "a Makefile that takes what our own series was compiled to from the compiler cache",
        "an untrusted build sees no compiler cache",
        shell("cat {cache}/ccache/*/*; ls {cache}/ccache"),
        BUILT,
        shows="ccache': No such file or directory",
    ),
    Attack(
        "a Makefile that reads the home directory",
        "no home directory in the sandbox",
        shell("cat {home}/secret /root/.ssh/* /home/*/.ssh/*"),
        BUILT,
    ),
    Attack(
        "a Makefile that reads what belongs to other submissions",
        "of the cache only the tree is there",
        shell("find {cache} -name kernel.json -o -name '*.patch'"),
        BUILT,
    ),
    Attack(
        "a Makefile that reads the system's accounts and passwords",
        "of /etc only what the loader needs is there",
        shell("cat /etc/passwd /etc/shadow"),
        BUILT,
    ),
    Attack(
        "a Makefile that looks for passwords in the environment",
        "an environment made from nothing",
        shell("env"),
        BUILT,
    ),
    Attack(
        "a Makefile that opens a network connection to this machine",
        NET,
        shell("python3 -c '{connect}'"),
        BUILT,
        shows="Connection refused",
    ),
    Attack(
        "a Makefile that connects to an abstract Unix socket",
        NET,
        shell("python3 -c '{abstract}'"),
        BUILT,
        shows="Connection refused",
    ),
    Attack(
        "a Makefile that looks other processes up and kills them",
        "a process namespace",
        shell("ls -d /proc/[0-9]*; kill -9 -1; kill -9 {pid}; sleep 0.2"),
        "",
    ),
    Attack(
        "a Makefile that forks without end",
        "RLIMIT_NPROC, counted in a user namespace of its own",
        shell("f() { f | f & }; f"),
        "",
        shows="annot fork",
    ),
    Attack(
        "a host tool that takes all memory",
        "resident memory is looked at four times a second",
        shell("python3 -c 'a=[bytearray(1<<20) for _ in range(4000)]'"),
        "more than 256 MiB of memory",
    ),
    Attack(
        "20 processes that take all memory together",
        "resident memory is looked at four times a second",
        shell("for i in $(seq 20); do python3 -c 'import time; a=bytearray(50<<20); time.sleep(30)' & done; wait"),
        "more than 256 MiB of memory",
    ),
    Attack(
        "memory that is shared, and so counts for nobody",
        "shared pages count as well",
        shell("python3 -c 'import mmap,time; a=mmap.mmap(-1,400<<20); a.write(bytes(400<<20)); time.sleep(30)'"),
        "more than 256 MiB of memory",
    ),
    Attack(
        "a Makefile that fills the disk",
        "build directories are in memory and have a size",
        shell("for i in 1 2 3 4 5 6 7 8 9; do head -c 20M /dev/zero > $O/$i; done; df $O | tail -1"),
        "",
        shows="No space left on device",
    ),
    Attack(
        "a Makefile that fills the disk with fallocate(), quicker than any watcher",
        "build directories are in memory and have a size",
        shell("for i in 1 2 3 4 5 6 7 8 9; do fallocate -l 30M $O/$i || echo full; done"),
        "",
        shows="full full full",
    ),
    Attack(
        "a Makefile that fills /tmp, /dev/shm and the sandbox's root",
        "sizes, and read-only where there is none",
        shell(
            "for d in /tmp /dev/shm /dev / /run /home; do for f in a b c; do fallocate -l 30M $d/$f; done; done; "
            "df -m --total | tail -1"
        ),
        BUILT,
        shows="cannot open /dev/shm/a: Read-only file system",
    ),
    Attack(
        "a file of any size: a sparse one",
        "RLIMIT_FSIZE",
        shell("truncate -s 1T $O/big; truncate -s 1T /results/0; ls -s $O"),
        BUILT,
        shows="File size limit exceeded",
    ),
    Attack("a Makefile that never ends", "a limit on the time", shell("sleep 1000"), "did not end within"),
    Attack(
        "a Makefile that ignores being told to end",
        "the process namespace ends with its first process",
        shell("trap '' TERM INT HUP; while :; do sleep 1; done"),
        "did not end within",
    ),
    Attack(
        "a process left behind that goes on after the build",
        "the process namespace ends with its first process",
        shell("setsid sleep 4242.{pid} > /dev/null 2>&1 &"),
        BUILT,
    ),
    Attack("a Makefile that prints without end", "a limit on the output", shell("yes attack >&2"), "printed more than"),
    Attack(
        "a line without an end",
        "lines are read in pieces, up to the limit",
        shell("tr '\\0' x < /dev/zero >&2"),
        "printed more than",
    ),
    Attack(
        "a namespace of its own, in which it is root and mounts what it likes",
        "no further user namespaces",
        shell("unshare -Urm sh -c 'mount -t tmpfs x /tmp && echo mounted'"),
        BUILT,
        shows="unshare failed",
    ),
    Attack(
        "writing to the host's kernel through /proc and /sys",
        "nobody's rights, and no /sys",
        shell("echo 1 > /proc/sys/kernel/sysrq; echo b > /proc/sysrq-trigger; ls /sys; dmesg"),
        BUILT,
        shows="Operation not permitted",
    ),
    Attack(
        "a device node to read the disk with",
        "no capabilities, no devices",
        shell("mknod $O/disk b 254 0 && head -c 1 $O/disk; ls /dev/vda /dev/sda /dev/kvm"),
        BUILT,
        shows="Operation not permitted",
    ),
    Attack(
        "typing into the grader's terminal (TIOCSTI)",
        "a session without a terminal",
        shell(
            "python3 -c 'import fcntl,termios; [fcntl.ioctl(f, termios.TIOCSTI, b\"x\") for f in (0,1,2)]'; "
            "echo x > /dev/tty"
        ),
        BUILT,
        shows="Inappropriate ioctl for device",
    ),
    Attack(
        "a bzImage that is a link to a file of the grader's",
        "results are read in the sandbox",
        rule("ln -sf {home}/secret $(O)/arch/x86/boot/bzImage"),
        "makes no",
    ),
    Attack(
        "a bzImage that is a named pipe",
        "plain files only",
        rule("rm -f $(O)/arch/x86/boot/bzImage; mkfifo $(O)/arch/x86/boot/bzImage"),
        "makes no",
    ),
    Attack(
        "a bzImage that is the disk's first bytes",
        "no devices in the sandbox",
        rule("ln -sf /dev/vda $(O)/arch/x86/boot/bzImage"),
        "makes no",
    ),
    Attack(
        "a build that succeeds and makes nothing",
        "what there is then is the base's kernel, which passes no scenario",
        rule("true"),
        BUILT,
    ),
    Attack(
        "a System.map of 40 MB",
        "limits on what is taken out",
        rule("head -c 31M /dev/zero > $(O)/arch/x86/boot/bzImage; head -c 33M /dev/zero > /results/1"),
        "",
    ),
    Attack(
        "a build that says the disk is full, not to be graded",
        "in the sandbox limits are the build's own fault",
        shell("echo 'No space left on device' >&2") + "\nbzImage: fail\nfail:\n\t@exit 1\n",
        "does not build",
    ),
    Attack(
        "errors with terminal escapes",
        "what is shown is spelled out",
        shell(r"printf 'error: \033]0;owned\007\033[2J' >&2") + "\nbzImage: fail\nfail:\n\t@exit 1\n",
        "does not build",
    ),
    Attack(
        "errors that are no UTF-8",
        "what is shown is spelled out",
        shell(r"printf 'error: \377\376' >&2") + "\nbzImage: fail\nfail:\n\t@exit 1\n",
        "does not build",
    ),
    Attack(
        "a .config that is no text",
        "what comes out is read as bytes",
        MAKEFILE.replace("echo CONFIG_TOY=y", r"printf '\377\000\n'"),
        BUILT,
    ),
    Attack(
        "a .config of 20 MB",
        "limits on what is taken out",
        MAKEFILE.replace("echo CONFIG_TOY=y", "head -c 20M /dev/zero"),
        ".config.fresh of 20971520 bytes",
    ),
)
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


POISON = Attack(
    "an object left in the build directory, newer than its source, for the next submission",
    "a submission's first build begins with the base's objects, and its directory goes with the verdict",
    rule("echo owned | tee $(O)/object.o > $(O)/arch/x86/boot/bzImage; touch -d 2099-01-01 $(O)/object.o"),
)
NEIGHBOUR = Attack(
    "a file in the place of a directory, so that the next submission cannot be laid out",
    "the tree is made anew from the pristine one, whatever was there",
    "",
)
OTHERS = (POISON, NEIGHBOUR)


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
