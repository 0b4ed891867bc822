"""Every failure: its errno, and its one line in the kernel log."""

from __future__ import annotations

from patchgen.scenarios.model import Lab, expect, scenario

_LONGEST = 255


@scenario("Section 2.6, test program")
def set_param_bad_names(lab: Lab) -> None:
    """pf_set_param refuses a name that is NULL, empty or too long."""
    lab.fail("EINVAL", "set", "@null", "4")
    lab.fail("EINVAL", "set", "fork", "0")
    lab.fail("EINVAL", "set", "@none", "1")
    lab.fail("EINVAL", "set", "n" * (_LONGEST + 1), "-")
    lab.fail("EINVAL", "set", "fork", "4294967295")


@scenario("Section 2.6")
def set_param_unreadable_name(lab: Lab) -> None:
    """pf_set_param with a name that cannot be read: EFAULT."""
    lab.fail("EFAULT", "set", "@kernel", "4")
    lab.fail("EFAULT", "set", "@unmapped", "4")


@scenario("Section 2.6, test program")
def get_info_bad_names(lab: Lab) -> None:
    """pf_get_info refuses a name that is NULL, empty or too long, and a NULL result."""
    lab.set_param("fork")
    lab.fail("EINVAL", "get", "@null", "4", "here")
    lab.fail("EINVAL", "get", "fork", "0", "here")
    lab.fail("EINVAL", "get", "@none", "1", "here")
    lab.fail("EINVAL", "get", "n" * (_LONGEST + 1), "-", "here")
    lab.fail("EINVAL", "get", "fork", "-", "@null")


@scenario("Section 2.6")
def get_info_bad_memory(lab: Lab) -> None:
    """pf_get_info with memory that cannot be read or written: EFAULT."""
    lab.set_param("fork")
    lab.fail("EFAULT", "get", "@kernel", "4", "here")
    lab.fail("EFAULT", "get", "@unmapped", "4", "here")
    for where in ("@kernel", "@unmapped", "@readonly", "@short"):
        lab.fail("EFAULT", "get", "fork", "-", where)


@scenario("Section 2.6, test program")
def get_info_of_untracked_program(lab: Lab) -> None:
    """pf_get_info of a name that is not tracked, while another is: EINVAL."""
    lab.set_param("fork")
    lab.fail("EINVAL", "get", "other", "-", "here")


@scenario("Section 2.6, test program")
def nothing_set_up(lab: Lab) -> None:
    """pf_get_info and pf_cleanup before any pf_set_param: EACCES, each time."""
    for _ in range(2):
        lab.fail("EACCES", "get", "fork", "-", "here")
        lab.fail("EACCES", "cleanup")


@scenario("Section 2.6, test program")
def after_cleanup(lab: Lab) -> None:
    """After pf_cleanup nothing is set up, until pf_set_param is called again."""
    lab.set_param("fork")
    lab.cleanup()
    lab.fail("EACCES", "cleanup")
    lab.fail("EACCES", "get", "fork", "-", "here")
    lab.set_param("fork")
    expect("faults when tracked again", lab.get_info("fork").total, 0)


@scenario("Section 2.6")
def failed_set_param_sets_nothing_up(lab: Lab) -> None:
    """A pf_set_param that fails does not count as one."""
    lab.fail("EINVAL", "set", "fork", "0")
    lab.fail("EACCES", "cleanup")


@scenario("Section 2.1")
def name_is_read_to_its_length(lab: Lab) -> None:
    """The bytes behind name_len are never read: a name can end where mapped memory ends."""
    lab.succeed("set", "@edge:cow", "-")
    lab.run("./cow 8 3 2")
    lab.succeed("get", "@edge:cow", "-", "here")
    lab.succeed("set", "forkandmore", "4")
    lab.get_info("fork")


@scenario("Section 2.1")
def long_names(lab: Lab) -> None:
    """Names of up to 255 bytes are accepted."""
    lab.set_param("n" * _LONGEST)
    expect("VMAs of a program that never ran", lab.get_info("n" * _LONGEST).nb_vma, 0)


@scenario("Section 2.6")
def messages_stay_one_line(lab: Lab) -> None:
    """A name with a line break in it cannot make two log lines of one."""
    lab.set_param("fork")
    lab.fail("EINVAL", "get", "a\n<3>b", "-", "here")
