"""Real kernels that attack, and Kconfig and host tools of the real tree: what a toy cannot show."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from attacks.catalogue import Attack, needs_sandbox
from attacks.kernels import GUESTS, HOSTILE, KCONFIG, VICTIM
from attacks.mails import addition

from patchgen import pipeline, sandbox
from patchgen.base import worktree
from patchgen.base.resolve import Source
from patchgen.errors import BuildError, GuestError
from patchgen.guest.testbed import Testbed
from patchgen.kernel import configs
from patchgen.kernel.build import BuildRequest, Kernel, build, cached
from patchgen.kernel.sandboxed import IncrementalBuilds
from patchgen.pipeline import Project
from patchgen.sandbox import Sandbox
from patchgen.submission import apply, patches

pytestmark = [needs_sandbox, pytest.mark.only_linux_4_15("a submission is made on no other base")]


def built(mail: bytes, project: Project, origin: Source) -> Kernel:
    """Apply a patch to linux-4.15 and build it as an untrusted one."""
    found = apply.apply(origin, [patches.read("0001-a.patch", mail, project.cache)], project.cache).trees[-1]
    box = sandbox.sandbox_for_untrusted(trust=False)
    return build(wanted(found, project, origin, box))


def wanted(
    tree: str, project: Project, origin: Source, box: Sandbox | None, chain: IncrementalBuilds | None = None
) -> BuildRequest:
    config, jobs = configs.load("small"), project.settings.jobs
    return BuildRequest(config, tree, origin, project.cache, "submission", jobs, box, chain)


def text_of(path: str, project: Project, origin: Source) -> str:
    return (worktree.pristine(origin, project.cache) / path).read_text()


@pytest.fixture(scope="module")
def hostile(project: Project, origin: Source) -> Testbed:
    """Return the testbed of the kernel with all attacks in it, in the sandbox."""
    before = text_of("init/version.c", project, origin)
    image = built(addition("init/version.c", before, before + HOSTILE), project, origin).image
    box = sandbox.sandbox_for_untrusted(trust=False)
    return pipeline.testbed_of(project, image, box)


@pytest.mark.parametrize("attack", GUESTS, ids=lambda attack: attack.means)
def test_a_hostile_kernel(attack: Attack, hostile: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    # An emulated serial line takes an hour for 64 MiB.
    monkeypatch.setattr("patchgen.guest.qemu.CONSOLE_MAX", sandbox.MIB // 8)
    words = (*hostile.machine.cmdline, f"attack={attack.means}")
    bed = replace(hostile, machine=replace(hostile.machine, cmdline=words))
    begin = time.monotonic()
    with pytest.raises(GuestError) as caught, bed.booted({}) as guest:
        guest.run("true")
    shown = f"{caught.value.message}\n{caught.value.evidence}"
    assert attack.said in shown
    assert "\x1b" not in shown
    assert time.monotonic() - begin < 150


def test_the_same_kernel_without_an_attack_is_sound(hostile: Testbed) -> None:
    with hostile.ready() as guest:
        assert guest.run("uname -r").text == "4.15.0\n"


def test_qemu_has_nothing_to_reach(hostile: Testbed) -> None:
    """Look at the running QEMU from outside: its user, its capabilities, its network, its limits."""
    with hostile.ready() as guest:
        mine = [pid for pid in Path("/proc").iterdir() if pid.name.isdigit() and str(guest.qemu.directory) in _cwd(pid)]
        assert mine
        for pid in mine:
            status = dict(line.split(":\t", 1) for line in (pid / "status").read_text().splitlines() if ":\t" in line)
            assert int(status["CapEff"], 16) == 0
            assert status["NoNewPrivs"] == "1"
            assert (pid / "ns/net").readlink() != Path("/proc/self/ns/net").readlink()
            assert (pid / "ns/pid").readlink() != Path("/proc/self/ns/pid").readlink()
            assert status["Uid"].split()[0] != "0"
            assert str(sandbox.GUEST.file) in (pid / "limits").read_text()


def test_a_victim_does_not_get_an_attackers_kernel(
    project: Project, origin: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, file = "scripts/link-vmlinux.sh", "init/version.c"
    plain, text = text_of(script, project, origin), text_of(file, project, origin)
    # Each run has trees of its own: a kernel that comes from the cache leaves no objects for the next build.
    plants = plain.replace("set -e\n", f"set -e\n# {uuid4()}\n{VICTIM.means}", 1)
    assert plants != plain
    victim = addition(file, text, f"{text}\n/* {uuid4()} */\n")
    attacker = [addition(script, plain, plants), addition(script, plants, plain) + victim.split(b"---\n", 1)[1]]
    read = [patches.read(f"{number:04}-a.patch", mail, project.cache) for number, mail in enumerate(attacker, 1)]
    first, second = apply.apply(origin, read, project.cache).trees
    monkeypatch.setattr(worktree, "distance", lambda where, one, _: (int(one == where.tree), 0), raising=False)
    chain, box = IncrementalBuilds(tmp_path), sandbox.sandbox_for_untrusted(trust=False)
    for one in (first, second):
        made = build(wanted(one, project, origin, box, chain))
    assert VICTIM.said in made.image.with_name("System.map").read_text(), "the attack works up to here"
    found = built(victim, project, origin)
    assert found.tree == second
    assert VICTIM.said not in found.image.with_name("System.map").read_text()
    bed = pipeline.testbed_of(project, found.image, box)
    with bed.ready() as guest:
        assert guest.run("uname -r").text == "4.15.0\n"
    assert cached(wanted(second, project, origin, None)) is None, "nothing trusted takes either of them"


def _cwd(pid: Path) -> str:
    try:
        return str((pid / "cwd").readlink()) if b"qemu" in (pid / "exe").readlink().name.encode() else ""
    except OSError:
        return ""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def test_a_hostile_kconfig(project: Project, origin: Source, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("config the-graders-secret\n")
    before = text_of("init/Kconfig", project, origin)
    mail = addition("init/Kconfig", before, before + f'\nsource "{secret}"\n')
    with pytest.raises(BuildError, match=KCONFIG.said) as caught:
        built(mail, project, origin)
    assert "can't open file" in caught.value.evidence
    assert "the-graders-secret" not in caught.value.evidence


def test_a_hostile_host_tool(project: Project, origin: Source, tmp_path: Path, listener: socket.socket) -> None:
    (tmp_path / "secret").write_text("the-graders-secret")
    port = listener.getsockname()[1]
    connect = f"python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 1)'"
    does = f"cat {tmp_path}/secret; touch {tmp_path}/owned ../src/owned; id -u; {connect}"
    call = f"system({json.dumps(does)}); exit(1);"
    tool = f"static void __attribute__((constructor)) attack(void) {{ {call} }}\n"
    before = text_of("scripts/kconfig/conf.c", project, origin)
    listener.setblocking(False)
    with pytest.raises(BuildError, match="make olddefconfig failed") as caught:
        built(addition("scripts/kconfig/conf.c", before, before + tool), project, origin)
    assert "No such file or directory" in caught.value.evidence
    assert "the-graders-secret" not in caught.value.evidence
    assert not list(tmp_path.glob("owned"))
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert not (worktree.workspace_place(origin, "submission-box", project.cache).files / "owned").exists()
    assert os.geteuid() not in [int(line) for line in caught.value.evidence.splitlines() if line.isdigit()]
