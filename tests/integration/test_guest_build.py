"""What is in the guest: its programs, its file system, and the boot sector that tries an accelerator. No kernel."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from pfstat import ASSIGNMENT

from patchgen import process, toolchain
from patchgen.cache import Cache
from patchgen.errors import MachineError, UsageError
from patchgen.guest import busybox, initramfs, kvm, machine, programs
from patchgen.guest.initramfs import Choice
from patchgen.guest.session import Guest, check_kernel

SOURCES = ASSIGNMENT.directory / "guest"
OURS = Choice(assignment=ASSIGNMENT.directory)
# Ends a program by SIGSYS that makes one of the system calls 385 to 387, as i386 (3) numbers them.
GUARD = r"""
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 385, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 387, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

    if (argc < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &program))
        return 99;
    execv(argv[1], argv + 1);
    return 98;
}
"""


@dataclass(frozen=True)
class Entry:
    mode: int
    data: bytes
    device: tuple[int, int]


def unpack(archive: bytes) -> dict[str, Entry]:
    """Read newc archives one after the other, as the kernel's init/initramfs.c does."""
    entries, at = {}, 0
    while at < len(archive):
        if archive[at] == 0:
            at += 1
            continue
        assert at % 4 == 0
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name_at, size, name_size = at + 110, fields[6], fields[11]
        name = archive[name_at : name_at + name_size - 1].decode()
        data_at = (name_at + name_size + 3) & ~3
        if name != "TRAILER!!!":
            entries[name] = Entry(fields[1], archive[data_at : data_at + size], (fields[9], fields[10]))
        at = (data_at + size + 3) & ~3
    return entries


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Return a cache of these tests': each program is compiled once for all of them."""
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def shell(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand a program of ours in for busybox, which would have to be fetched."""
    path = programs.build(cache, programs.Recipe(SOURCES / "pfcall.c", "bare"))
    monkeypatch.setenv(busybox.VARIABLE, str(path))
    return path


def test_the_image_holds_what_its_list_says(cache: Cache, shell: Path) -> None:
    image = initramfs.build(cache, OURS)
    entries, wanted = unpack(image.path.read_bytes()), initramfs.contents()
    for program in (*wanted.programs, *initramfs.added(ASSIGNMENT.directory)):
        assert entries[program.path.lstrip("/")].mode == stat.S_IFREG | 0o755
    assert entries["bin/sh"].mode == stat.S_IFLNK | 0o777
    assert entries["bin/sh"].data == b"busybox"
    assert entries["bin/busybox"].data == shell.read_bytes()
    assert entries["dev/console"] == Entry(stat.S_IFCHR | 0o600, b"", (5, 1))
    assert entries["lib/libc.so.6"].data[:4] == entries["lib/ld-linux.so.2"].data[:4] == b"\x7fELF"
    parents = {str(Path(name).parent) for name in entries} - {"."}
    assert parents <= {name for name, entry in entries.items() if stat.S_ISDIR(entry.mode)}


def test_the_image_is_the_same_bytes_everywhere(tmp_path: Path, shell: Path) -> None:
    images = [initramfs.build(Cache(tmp_path / name), OURS) for name in ("one", "two")]
    assert images[0].path != images[1].path
    assert images[0].digest == images[1].digest
    assert images[0].path.read_bytes() == images[1].path.read_bytes()


def test_another_system_call_number_is_another_image(cache: Cache, shell: Path) -> None:
    plain = initramfs.build(cache, OURS)
    other = initramfs.build(cache, Choice(ASSIGNMENT.directory, defines={"PF_NR_GET_INFO": "500"}))
    assert plain.digest != other.digest
    assert unpack(plain.path.read_bytes())["root/test"] != unpack(other.path.read_bytes())["root/test"]


def test_the_users_program_replaces_ours(cache: Cache, shell: Path, tmp_path: Path) -> None:
    source = tmp_path / "theirs.c"
    # Old C, of which gcc only warned: implicit declaration, implicit int, unused variable, a number for a pointer.
    source.write_text('count; main() { int unused; char *p = 1; puts("the course\'s own"); return !p; }\n')
    image = initramfs.build(cache, Choice(ASSIGNMENT.directory, sources={"test_program": source}))
    assert b"the course's own" in unpack(image.path.read_bytes())["root/test"].data


def test_the_users_program_that_does_not_compile_is_the_users_error(cache: Cache, tmp_path: Path) -> None:
    source = tmp_path / "theirs.c"
    source.write_text("int main(void) { return missing; }\n")
    with pytest.raises(UsageError, match="does not compile") as caught:
        programs.build(cache, programs.Recipe(source, "dynamic", ours=False))
    assert "theirs.c:1:25: error:" in caught.value.evidence
    with pytest.raises(UsageError, match="cannot read"):
        programs.build(cache, programs.Recipe(tmp_path / "none.c", "dynamic", ours=False))


def test_a_changed_header_is_a_changed_program(cache: Cache, tmp_path: Path) -> None:
    source, header = tmp_path / "a.c", tmp_path / "a.h"
    source.write_text('#include "a.h"\nint main(void) { return STATUS; }\n')
    header.write_text("#define STATUS 1\n")
    first = programs.build(cache, programs.Recipe(source, "static"))
    header.write_text("#define STATUS 2\n")
    second = programs.build(cache, programs.Recipe(source, "static"))
    assert [process.run([path], cwd=tmp_path, timeout=10, check=False).status for path in (first, second)] == [1, 2]


def test_more_files_are_a_second_archive(cache: Cache, shell: Path, tmp_path: Path) -> None:
    image = initramfs.build(cache, OURS)
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    more = initramfs.with_files(cache, image, {"/srv/deep/script": script, "/root/note": Path(__file__)})
    assert more.digest != image.digest
    data = more.path.read_bytes()
    assert data.startswith(image.path.read_bytes())
    entries = unpack(data)
    assert entries["srv/deep/script"] == Entry(stat.S_IFREG | 0o755, b"#!/bin/sh\n", (0, 0))
    assert stat.S_ISDIR(entries["srv"].mode)
    assert stat.S_ISDIR(entries["srv/deep"].mode)
    assert entries["root/note"].mode == stat.S_IFREG | 0o644
    assert initramfs.with_files(cache, image, {}) is image
    for wrong in ("relative", "/root/../etc/x"):
        with pytest.raises(UsageError, match="absolute path"):
            initramfs.with_files(cache, image, {wrong: script})


def test_a_copied_programs_libraries_come_with_it(cache: Cache, shell: Path, tmp_path: Path) -> None:
    source = tmp_path / "m.c"
    source.write_text("#include <math.h>\nint main(int c, char **v) { return (int)sqrt(c) + !v; }\n")
    program = tmp_path / "m"
    # No libraries by default in an image whose programs do not ask for them: libm here.
    process.run([toolchain.tool("gcc"), "-m32", "-fno-builtin", source, "-lm", "-o", program], cwd=tmp_path, timeout=60)
    entries = unpack(initramfs.with_files(cache, initramfs.build(cache, OURS), {"/root/m": program}).path.read_bytes())
    assert "lib/libm.so.6" in entries


def test_only_a_static_i386_program_is_a_busybox(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = SOURCES / "fork.c"
    static, dynamic = (programs.build(cache, programs.Recipe(source, link)) for link in ("static", "dynamic"))
    assert busybox.is_static_i386(static)
    assert not busybox.is_static_i386(dynamic)
    assert not busybox.is_static_i386(Path("/proc/self/exe"))  # 64 bits
    assert not busybox.is_static_i386(Path(__file__))
    assert not busybox.is_static_i386(tmp_path / "none")
    monkeypatch.setenv(busybox.VARIABLE, str(dynamic))
    with pytest.raises(UsageError, match="not a statically linked i386"):
        busybox.find(cache)


def test_without_apt_the_hint_says_what_to_do(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError) as caught:
        busybox.find(cache)
    assert busybox.VARIABLE in caught.value.hint


@pytest.fixture
def guard(tmp_path: Path) -> Path:
    path = tmp_path / "guard"
    path.with_suffix(".c").write_text(GUARD)
    process.run(["gcc", "-Wall", "-Werror", path.with_suffix(".c"), "-o", path], cwd=tmp_path, timeout=60)
    return path


def guarded(guard: Path, program: Path, arguments: list[str], *, tunables: bool) -> int:
    environment = dict(machine.load().environment) if tunables else {}
    return subprocess.run([guard, program, *arguments], env=environment, check=False, capture_output=True).returncode


@pytest.mark.parametrize(
    ("source", "link", "arguments", "status"),
    [
        ("agent.c", "static", [], 2),
        ("fork.c", "dynamic", [], 0),
        ("test.c", "dynamic", [], 1),
        ("libc.c", "dynamic", ["8", "5", "3"], 0),
        ("play.c", "bare", ["map,0,8,rw,anon", "write,0,8", "fork", "write,0,5", "end", "maps"], 0),
    ],
)
def test_no_program_makes_the_calls_under_test_by_itself(
    cache: Cache, guard: Path, source: str, link: programs.Link, arguments: list[str], status: int
) -> None:
    program = programs.build(
        cache, programs.Recipe((programs.SOURCES if source == "agent.c" else SOURCES) / source, link)
    )
    assert guarded(guard, program, arguments, tunables=True) == status


def test_the_guard_sees_what_glibc_would_do_without_the_tunable(cache: Cache, guard: Path) -> None:
    program = programs.build(cache, programs.Recipe(SOURCES / "fork.c", "dynamic"))
    version = tuple(int(part) for part in os.confstr("CS_GNU_LIBC_VERSION").split()[1].split("."))  # type: ignore[union-attr]
    if version < (2, 35):
        pytest.skip("this glibc does not call rseq")
    assert guarded(guard, program, [], tunables=False) == -31  # SIGSYS


def test_our_programs_fail_in_one_line(cache: Cache, tmp_path: Path) -> None:
    program = programs.build(cache, programs.Recipe(SOURCES / "test.c", "static", ours=True), {"PF_NR_CLEANUP": "511"})
    for arguments in (
        [],
        ["-o", "nonsense", "-p", "x"],
        ["-o", "set_param"],
        ["-o", "cleanup"],
        ["-o", "cleanup", "x"],
    ):
        result = process.run([program, *arguments], cwd=tmp_path, timeout=10, check=False)
        assert result.status == 1
        assert result.stdout == ""
        assert result.stderr.startswith("[ERROR]")
        assert result.stderr.count("\n") == 1


def test_the_boot_sector_runs_under_tcg(cache: Cache) -> None:
    assert kvm.works(cache, machine.load(), "tcg", seconds=60) is True


def test_kvm_is_tried_within_a_deadline_and_only_once(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = time.monotonic()
    first = kvm.accelerator(cache)
    assert first in ("kvm", "tcg")
    assert time.monotonic() - begin < kvm.SECONDS + 5
    monkeypatch.setattr(kvm, "works", lambda *_: pytest.fail("it is tried again"))
    assert kvm.accelerator(cache) == first


def test_what_is_no_kernel_is_told_before_qemu_starts(cache: Cache, shell: Path, tmp_path: Path) -> None:
    path = tmp_path / "bzImage"
    with pytest.raises(UsageError, match="cannot read"):
        check_kernel(path)
    path.write_bytes(b"\x7fELF" * 1000)
    with pytest.raises(Exception, match="is not a bzImage"):
        Guest(path, initramfs.build(cache, OURS), machine.load())
