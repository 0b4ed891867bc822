"""Which programs are tracked, and when their statistics begin anew."""

from __future__ import annotations

from patchgen.scenarios.counting import cow
from patchgen.scenarios.model import Lab, expect, scenario


@scenario("Section 2.1")
def several_names(lab: Lab) -> None:
    """Several programs are tracked at the same time, each with its own statistics."""
    lab.run("ln cow one; ln cow two; ln cow three")
    lab.set_param("one")
    lab.set_param("two")
    first = cow(lab, "one", 10, 3, 2)
    second = cow(lab, "two", 20, 7, 6)
    cow(lab, "three", 5, 1, 1)
    expect("faults of one", lab.get_info("one").at(*first), 5)
    expect("faults of two", lab.get_info("two").at(*second), 13)
    lab.fail("EINVAL", "get", "three", "-", "here")


@scenario("Section 2.1")
def many_names(lab: Lab) -> None:
    """Two thousand names are tracked at once."""
    lab.set_param("name0")
    lab.run(
        "i=0; while [ $i -lt 2000 ]; do pfcall set name$i -; i=$((i+1)); done >/tmp/out; ! grep -v '^ret 0$' /tmp/out"
    )
    for number in (0, 999, 1999):
        expect(f"faults of name{number}", lab.get_info(f"name{number}").total, 0)
    lab.cleanup()
    lab.fail("EACCES", "get", "name0", "-", "here")


@scenario("Section 2.1")
def tracking_twice_has_no_effect(lab: Lab) -> None:
    """pf_set_param on a tracked name succeeds and changes nothing."""
    lab.set_param("cow")
    area = cow(lab, "cow", 16, 5, 3)
    before = lab.get_info("cow")
    lab.set_param("cow")
    expect("statistics after tracking again", lab.get_info("cow"), before)
    expect("faults", before.at(*area), 8)


@scenario("Section 2.2")
def second_run_resets(lab: Lab) -> None:
    """A second run of a program of that name replaces the first one's statistics."""
    lab.set_param("cow")
    cow(lab, "cow", 64, 60, 50)
    area = cow(lab, "cow", 16, 2, 1)
    info = lab.get_info("cow")
    expect("faults of the last run", info.at(*area), 3)
    alone = _fresh_total(lab)
    expect("total of the last run", info.total, alone)


def _fresh_total(lab: Lab) -> int:
    """Return the total that the same run has when nothing ran before it."""
    lab.cleanup()
    lab.set_param("cow")
    cow(lab, "cow", 16, 2, 1)
    return lab.get_info("cow").total


@scenario("Section 2.1")
def never_run(lab: Lab) -> None:
    """A tracked program that never ran: success, and all is zero."""
    lab.set_param("cow")
    info = lab.get_info("cow")
    expect("VMAs and faults", (info.nb_vma, info.total, info.vmas), (0, 0, ()))


@scenario("Section 2.3")
def cleanup_ends_tracking(lab: Lab) -> None:
    """After pf_cleanup a program of that name is not counted until it is tracked again."""
    lab.set_param("cow")
    cow(lab, "cow", 16, 5, 3)
    lab.cleanup()
    cow(lab, "cow", 16, 5, 3)
    lab.set_param("cow")
    expect("faults counted while not tracked", lab.get_info("cow").total, 0)
    area = cow(lab, "cow", 16, 4, 4)
    expect("faults after tracking again", lab.get_info("cow").at(*area), 8)


@scenario("Section 2.3")
def cleanup_while_tracked_programs_run(lab: Lab) -> None:
    """pf_cleanup while tracked programs fork, exec, fault and exit on both CPUs leaves the kernel sound."""
    lab.set_param("cow")
    lab.run(
        "(i=0; while [ $i -lt 60 ]; do ./cow 200 100 100; i=$((i+1)); done) >/dev/null & "
        "(i=0; while [ $i -lt 60 ]; do ./cow 200 100 100; i=$((i+1)); done) >/dev/null & "
        "i=0; while [ $i -lt 100 ]; do pfcall set cow -; pfcall get cow - here; pfcall cleanup; i=$((i+1)); done"
        " >/tmp/out; wait; ! grep '^ret -' /tmp/out"
    )
    lab.fail("EACCES", "cleanup")
    lab.set_param("cow")
    area = cow(lab, "cow", 16, 4, 4)
    expect("faults after all that", lab.get_info("cow").at(*area), 8)


@scenario("Section 2.1")
def names_are_cut_like_the_kernels(lab: Lab) -> None:
    """A name is compared the way the kernel names processes, by its first 15 characters."""
    lab.run("ln cow a-program-with-a-long-name")
    lab.set_param("a-program-with-a-long-name")
    area = cow(lab, "a-program-with-a-long-name", 8, 2, 2)
    expect("faults", lab.get_info("a-program-with-a-long-name").at(*area), 4)
    expect("faults by the short name", lab.get_info("a-program-with-").at(*area), 4)
