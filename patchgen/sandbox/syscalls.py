"""What a program in the sandbox may ask the kernel for: a filter on its system calls, and a session keyring of its own.

The filter is made by libseccomp, which knows each system call's number on each architecture, and is installed by
bubblewrap at its last step, when the namespaces and mounts are there. What is refused is refused with an error, since a
build or a C library that tries something newer goes on with something older.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import platform
from collections.abc import Iterator

from patchgen.errors import MachineError, ToolMissingError

_LIBRARY, _PACKAGE = "libseccomp.so.2", "libseccomp2"
# Of <seccomp.h>.
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_UNKNOWN = -1
_BAD_ARCHITECTURE = 2
_EQUAL, _GREATER, _MASKED = 4, 6, 7
# A 64-bit kernel runs these too. Whatever else it could run, such as x32, is refused as a whole.
_ALSO = {"x86_64": 0x40000003, "aarch64": 0x40000028}

# Nothing is missed when they are not there: memory that belongs to no process, and so to no limit.
_ABSENT = ("shmget", "shmat", "msgget", "semget", "ipc", "memfd_create", "memfd_secret", "clone3")
_REFUSED = (
    # keys of the kernel: the grader's, and what would outlive the sandbox
    *("add_key", "keyctl", "request_key"),
    # namespaces and mounts
    *("unshare", "setns", "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
    # what most holes of the last years went through
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("fanotify_init", "open_by_handle_at", "lookup_dcookie", "modify_ldt", "vm86", "vm86old", "uselib"),
    # other processes
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"),
    # the machine
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "swapon", "swapoff", "reboot"),
    *("acct", "quotactl", "quotactl_fd", "syslog", "iopl", "ioperm", "vhangup", "nfsservctl"),
    *("settimeofday", "clock_settime", "clock_settime64", "adjtimex", "clock_adjtime", "clock_adjtime64", "stime"),
    *("sethostname", "setdomainname"),
    # i386's old way to sockets: the family is in memory, where no filter sees it
    "socketcall",
)
# Unix, IPv4, IPv6; the others (netlink, packet, vsock, AF_ALG, ...) are doors to the kernel or the host.
_FAMILIES = (1, 2, 10)
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET of <linux/sched.h>
_NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)

# keyctl's number, by machine; 219 is that of all younger architectures
_KEYCTL = {"x86_64": 250, "i686": 288, "i386": 288, "armv7l": 311}
_JOIN_SESSION_KEYRING = 1


class _Compare(ctypes.Structure):
    """A condition on an argument: `struct scmp_arg_cmp`."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def there() -> bool:
    """Whether libseccomp is installed."""
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return False
    return True


@functools.cache
def program() -> bytes:
    """Return the filter, as `bwrap --seccomp` reads it: an array of `struct sock_filter`.

    Raises:
        ToolMissingError: libseccomp is not installed.
        MachineError: it refuses a rule.
    """
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise ToolMissingError(f"{_LIBRARY} is not installed (Debian package {_PACKAGE})") from error
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(_ALLOW))
    try:
        _check(library.seccomp_attr_set(context, _BAD_ARCHITECTURE, _error(errno.ENOSYS)))
        if also := _ALSO.get(platform.machine()):
            _check(library.seccomp_arch_add(context, also))
        for name in _ABSENT:
            _add(library, context, errno.ENOSYS, name)
        for name in _REFUSED:
            _add(library, context, errno.EPERM, name)
        for flag in _NAMESPACES:
            _add(library, context, errno.EPERM, "clone", _Compare(0, _MASKED, flag, flag))
        for name in ("socket", "socketpair"):
            _add(library, context, errno.EAFNOSUPPORT, name, _Compare(0, _GREATER, max(_FAMILIES), 0))
            for family in set(range(max(_FAMILIES))) - set(_FAMILIES):
                _add(library, context, errno.EAFNOSUPPORT, name, _Compare(0, _EQUAL, family, 0))
        return _exported(library, context)
    finally:
        library.seccomp_release(context)


def _error(number: int) -> int:
    return _ERRNO | number


def _check(status: int) -> None:
    if status < 0:
        raise MachineError(f"libseccomp refuses a rule: {os.strerror(-status)}")


def _add(library: ctypes.CDLL, context: ctypes.c_void_p, number: int, name: str, *when: _Compare) -> None:
    """Answer a system call with an error, on each architecture that has it."""
    call = library.seccomp_syscall_resolve_name(name.encode())
    if call != _UNKNOWN:  # an older library does not know the newest calls
        conditions = (_Compare * len(when))(*when)
        _check(library.seccomp_rule_add_array(context, _error(number), call, len(when), conditions))


def _exported(library: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    file = os.memfd_create("filter")
    try:
        _check(library.seccomp_export_bpf(context, file))
        return os.pread(file, os.fstat(file).st_size, 0)
    finally:
        os.close(file)


@contextlib.contextmanager
def handed_over() -> Iterator[int]:
    """Give a descriptor from which bubblewrap reads the filter; it must be passed on to it."""
    filtering = program()
    reading, writing = os.pipe()
    try:
        # It fits a pipe's buffer, so nobody need read it yet.
        os.write(writing, filtering)
        os.close(writing)
        yield reading
    finally:
        os.close(reading)


def keyctl_number() -> int:
    """Return the number of the system call keyctl on this machine."""
    return _KEYCTL.get(platform.machine(), 219)


def leave_keyring() -> None:
    """Give this thread, and what it starts from now on, a session keyring of its own in the place of the user's.

    A program that is started in it neither sees the grader's keys nor leaves any to the next one: keyctl(2).

    Raises:
        MachineError: the user has no room for another one.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(keyctl_number(), _JOIN_SESSION_KEYRING, None) >= 0:
        return
    number = ctypes.get_errno()
    # In most containers there are no keys at all.
    if number not in (errno.ENOSYS, errno.EPERM):
        raise MachineError(f"cannot have a session keyring: {os.strerror(number)}")
