"""Attacks on builds: what a Makefile does the moment make reads it; test_attacks_on_builds.py runs them."""

from __future__ import annotations

from attacks import toybuild
from attacks.catalogue import Attack

MAKEFILE = toybuild.FILES["Makefile"].data.decode()
BUILT = "built"  # The attack comes to nothing, and the build goes on.


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
