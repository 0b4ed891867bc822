"""A real vanilla kernel in QEMU: what a guest does, and how each way to die is told apart."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pexpect
import pytest

from patchgen.base.bases import DEFAULT
from patchgen.cache import Cache
from patchgen.errors import GuestError, MachineError
from patchgen.guest import machine, saved
from patchgen.guest.failures import KernelFailedError
from patchgen.guest.initramfs import Image
from patchgen.guest.kernel_log import LogLine
from patchgen.guest.session import BOOT_SECONDS, Guest
from patchgen.settings import Settings

pytestmark = pytest.mark.kernel
MACHINE = machine.load()
VERSION = "Linux version "  # the first line of a whole console


@pytest.fixture(scope="module")
def guest(user_cache: Cache, vanilla_kernel: Path, image: Image) -> Iterator[Guest]:
    """One guest for the tests that leave it as it was."""
    with saved.ready_guest(user_cache, vanilla_kernel, image, MACHINE) as running:
        yield running


@pytest.fixture
def own_guest(user_cache: Cache, vanilla_kernel: Path, image: Image) -> Iterator[Guest]:
    """One for a test that breaks it."""
    with saved.ready_guest(user_cache, vanilla_kernel, image, MACHINE) as running:
        yield running


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def failure(guest: Guest, command: str, timeout: float = 30) -> KernelFailedError:
    with pytest.raises(KernelFailedError) as caught:
        guest.run(command, timeout=timeout)
    return caught.value


# --- commands


def test_output_status_and_signal(guest: Guest) -> None:
    result = guest.run("echo out; echo err >&2; exit 3")
    assert (result.status, result.signal, result.text) == (3, None, "out\nerr\n")
    result = guest.run("kill -TERM $$")
    assert (result.status, result.signal) == (None, signal.SIGTERM)
    result = guest.run(["printf", "%s|", "a b", "", "$HOME"])
    assert (result.status, result.text) == (0, "a b||$HOME|")
    assert guest.run(["/no/such"]).status == 127
    assert guest.run("pwd; echo $X", cwd="/tmp", env={"X": "y z"}).text == "/tmp\ny z\n"
    assert guest.run("true", cwd="/no/such").status == 127
    assert guest.run("cat").status == 0  # nothing on standard input


def test_output_may_be_any_bytes(guest: Guest) -> None:
    every = bytes(range(256)) * 200 + b"\x02pg exit 8 00000000\nexited 0"
    guest.put("/tmp/every", every)
    assert guest.run("cat /tmp/every").output == every


def test_a_file_is_put_whole(guest: Guest) -> None:
    data = os.urandom(50_000)
    guest.put("/tmp/data", data, 0o750)
    assert hashlib.sha256(guest.run("cat /tmp/data").output).digest() == hashlib.sha256(data).digest()
    assert guest.run("stat -c %a /tmp/data").text == "750\n"
    assert "too much work" not in guest.console
    guest.put("/tmp/data", b"")
    assert guest.run("wc -c </tmp/data").text.strip() == "0"
    with pytest.raises(GuestError, match="No such file"):
        guest.put("/no/such/place", b"x")


def test_the_clock_does_not_rest_on_a_frequency_that_load_has_falsified(guest: Guest) -> None:
    """The time stamp counter's, which a kernel measures at boot: with a wrong one time limits pass too early."""
    source = guest.run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource").text.strip()
    assert source in ("pit", "refined-jiffies", "jiffies", "kvm-clock")


def test_too_much_output_is_cut_and_said_to_be(guest: Guest) -> None:
    result = guest.run("head -c 1100000 /dev/zero", timeout=120)
    assert result.status == 0
    assert result.truncated
    assert 1 << 20 <= len(result.output) < 1100000
    assert result.logged("err") == ()  # the serial driver's "too much work for irq3"


def test_a_command_is_killed_at_its_time_limit_with_its_children(guest: Guest) -> None:
    result = guest.run("sleep 1234 & sleep 1234", timeout=0.5)
    assert result.timed_out
    assert not result.stuck
    assert result.signal == signal.SIGKILL
    assert result.seconds < 5
    assert "sleep 1234" not in guest.run(["ps"]).text
    assert guest.run("yes", timeout=0.5).timed_out


def test_a_child_in_the_background_holds_nothing_up_and_is_reaped(guest: Guest) -> None:
    assert guest.run("echo a; sleep 1234 & echo b").text == "a\nb\n"
    assert "sleep 1234" in guest.run(["ps"]).text
    assert guest.run("killall sleep; sleep 0.5").status == 0
    assert "sleep" not in guest.run(["ps"]).text


def test_the_guest_is_what_machine_toml_says(guest: Guest) -> None:
    assert guest.run("grep -c ^processor /proc/cpuinfo").text == f"{MACHINE.cpus}\n"
    assert guest.run("cat /proc/cmdline").text.split() == list(MACHINE.cmdline)
    assert "GLIBC_TUNABLES=glibc.pthread.rseq=0\0" in guest.run("cat /proc/1/environ").text
    assert VERSION in guest.console
    assert guest.complaints == ()


# --- the kernel log


def test_each_command_gets_the_lines_that_it_caused(guest: Guest) -> None:
    result = guest.run(r"echo '<3>[X] a\b	c' >/dev/kmsg; echo '<4>warn' >/dev/kmsg")
    assert result.log == (LogLine("err", "[X] a\\b\tc"), LogLine("warn", "warn"))
    assert result.logged("err") == ("[X] a\\b\tc",)
    assert guest.run("true").log == ()


def test_a_message_without_its_newline_is_not_left_for_the_next_command(guest: Guest) -> None:
    """The kernel keeps it back until the next message; a careless printk() of the kernel under test ends so."""
    assert guest.run("printf '<3>no newline' >/dev/kmsg").log == (LogLine("err", "no newline"),)
    assert guest.run("true").log == ()


def test_more_log_than_the_buffer_holds_is_said_to_be_lost(own_guest: Guest) -> None:
    result = own_guest.run('i=0; while [ $i -lt 6000 ]; do echo "<7>$i $i $i $i $i $i $i"; i=$((i+1)); done >/dev/kmsg')
    assert result.log_lost
    # The kernel may log a line of its own meanwhile.
    assert any(line.text.startswith("5999 ") for line in result.log[-3:])
    assert result.logged("err") == ()


# --- the programs


def test_play_maps_what_it_is_told_and_nothing_else(guest: Guest) -> None:
    result = guest.run(["play", "map,0,20,rw,anon", "write,0,20", "fork", "write,0,5", "end", "maps"])
    assert result.status == 0
    maps = result.text.splitlines()
    assert (maps[0], maps[-1]) == ("maps", "endmaps")
    assert any(line.startswith("20000000-20014000 rw-p 00000000 00:00 0") for line in maps)
    # Not one mapping more than the ELF file's, this one, and what the kernel gives every process.
    assert [line.split()[-1] for line in maps if "[" in line] == ["[vvar]", "[vdso]", "[stack]"]
    for wrong in (["play", "nonsense"], ["play", "map,0,x,rw,anon"], ["play", "fork"], ["play", "crash,900"]):
        assert guest.run(wrong).status != 0


def test_fork_and_test_start_as_in_the_assignment(guest: Guest) -> None:
    result = guest.run("./fork")
    assert result.status == 0
    assert re.fullmatch(r"child \d+: wrote 8 pages.*\nparent \d+: wrote 4 pages.*\n", result.text)
    assert result.log == ()
    result = guest.run("./test -o set_param -p fork")
    assert (result.status, result.text) == (1, "[ERROR] pf_set_param: not implemented (errno 38)\n")


# --- ways to die


def test_a_panic_is_told_with_its_cause(own_guest: Guest, settings: Settings) -> None:
    # Later kernels panic outright instead of writing to address 0.
    crash = "BUG: unable to handle kernel NULL pointer" if settings.base == DEFAULT else "Kernel panic - not syncing"
    pid = own_guest.qemu._running.pid
    error = failure(own_guest, "echo c >/proc/sysrq-trigger")
    assert error.kind == "panic"
    assert f"during 'echo c >/proc/sysrq-trigger': {crash}" in error.message
    assert "sysrq_handle_crash" in error.evidence
    assert VERSION in error.console
    assert not alive(pid)


def test_a_triple_fault_is_a_reset(own_guest: Guest) -> None:
    error = failure(own_guest, "echo b >/proc/sysrq-trigger")
    assert error.kind in ("reset", "panic")
    assert "the machine reset during" in error.message


def test_a_silent_guest_hangs(own_guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patchgen.guest.session._GRACE_SECONDS", 0.5)
    os.kill(own_guest.qemu._running.pid, signal.SIGSTOP)
    error = failure(own_guest, "true", timeout=0.5)
    assert error.kind == "hang"
    assert "no answer for" in error.message
    assert error.evidence.count("\n") <= 25


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGKILL, "signal 9"), (signal.SIGTERM, "somebody has ended QEMU")]
)
def test_qemu_killed_is_not_the_kernels_fault(own_guest: Guest, number: int, said: str) -> None:
    os.kill(own_guest.qemu._running.pid, number)
    with pytest.raises(MachineError, match=said):
        own_guest.run("true")


def test_no_init_is_a_panic_at_boot(vanilla_kernel: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    with pytest.raises(KernelFailedError, match="the kernel died at boot: Kernel panic") as caught:
        Guest(vanilla_kernel, Image(empty, "empty"), MACHINE).__enter__()
    assert caught.value.kind == "panic"


def test_a_kernel_that_never_prints(vanilla_kernel: Path, image: Image, tmp_path: Path) -> None:
    # Zeroes in place of everything behind the real-mode part: whole by its header, and cannot run.
    data = bytearray(vanilla_kernel.read_bytes())
    begin = (data[0x1F1] + 1) * 512
    data[begin:] = bytes(len(data) - begin)
    kernel = tmp_path / "bzImage"
    kernel.write_bytes(data)
    with pytest.raises(KernelFailedError, match="never boots") as caught:
        Guest(kernel, image, MACHINE, time_scale=5 / BOOT_SECONDS).__enter__()
    assert caught.value.kind == "never-boots"


def test_a_cut_off_kernel(vanilla_kernel: Path, image: Image, tmp_path: Path) -> None:
    kernel = tmp_path / "bzImage"
    kernel.write_bytes(vanilla_kernel.read_bytes()[:-5000])
    with pytest.raises(GuestError, match="cut off"):
        Guest(kernel, image, MACHINE)


def test_qemu_refusing_its_arguments_is_the_machines_fault(vanilla_kernel: Path, image: Image) -> None:
    with pytest.raises(MachineError) as caught:
        Guest(vanilla_kernel, image, replace(MACHINE, cpu="no-such-cpu")).__enter__()
    assert "no-such-cpu" in caught.value.evidence


# --- no QEMU is left behind

# A shell that starts us in the background has SIGINT ignored, and children inherit that.
CHILD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from patchgen.guest import machine
from patchgen.guest.initramfs import Image
from patchgen.guest.session import BOOT_SECONDS, Guest
with Guest(Path(sys.argv[1]), Image(Path(sys.argv[2]), ""), machine.load()) as guest:
    print(guest.qemu._running.pid, guest.qemu.directory, flush=True)
    guest.run("sleep 100", timeout=200)
"""


def test_qemu_and_its_directory_are_gone_after_the_block(own_cache: Cache, vanilla_kernel: Path, image: Image) -> None:
    with saved.ready_guest(own_cache, vanilla_kernel, image, MACHINE) as running:
        pid, directory = running.qemu._running.pid, running.qemu.directory
        assert alive(pid)
        assert directory.is_dir()
    assert not alive(pid)
    assert not directory.exists()
    assert VERSION in running.console


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_qemu_ends_with_us_however_we_end(vanilla_kernel: Path, image: Image, number: int) -> None:
    argv = [sys.executable, "-c", CHILD, str(vanilla_kernel), str(image.path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        pid, directory = child.stdout.readline().split()
        assert alive(int(pid))
        time.sleep(0.3)
        child.send_signal(number)
        child.wait(timeout=60)
    deadline = time.monotonic() + 30
    while alive(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(int(pid))
    if number == signal.SIGINT:
        assert not Path(directory).exists()
    shutil.rmtree(directory, ignore_errors=True)  # what a sudden end cannot tidy up


# --- the user's terminal

SHELL = CHILD.replace('guest.run("sleep 100", timeout=200)', 'print("status", guest.interact())')


def test_the_shell_has_a_terminal(vanilla_kernel: Path, image: Image) -> None:
    argv = ["-c", SHELL, str(vanilla_kernel), str(image.path)]
    user = pexpect.spawn(sys.executable, argv, dimensions=(30, 100), timeout=60)
    try:
        user.expect("# ")
        user.send("stty size; sleep 100\r")
        user.expect("30 100")
        time.sleep(0.3)
        user.sendintr()
        user.expect("# ")
        user.setwinsize(40, 90)
        time.sleep(0.7)
        user.send("stty size\r")
        user.expect("40 90")
        user.send("exit 5\r")
        user.expect("status 5")
        user.expect(pexpect.EOF)
    finally:
        user.close(force=True)


def test_a_script_is_run_by_the_shell(vanilla_kernel: Path, image: Image) -> None:
    argv = [sys.executable, "-c", SHELL, str(vanilla_kernel), str(image.path)]
    done = subprocess.run(argv, input="pwd\nexit 7\n", capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[1:] == ["/root", "status 7"]
