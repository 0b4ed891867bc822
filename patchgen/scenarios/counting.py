"""Which faults count, and into which VMA."""

from __future__ import annotations

from patchgen.scenarios.model import Failed, Lab, Vma, expect, parse_maps, scenario


def cow(lab: Lab, program: str, pages: int, child: int, parent: int) -> tuple[int, int]:
    """Run qemu/guest/cow.c under some name and return the bounds of the memory it wrote to."""
    words = lab.run([f"./{program}", str(pages), str(child), str(parent)]).text.split(maxsplit=3)
    return int(words[1], 16), int(words[2], 16)


@scenario("Section 2.2")
def exact_counts(lab: Lab) -> None:
    """A child that writes k shared pages and a parent that writes j count k + j in that VMA."""
    lab.set_param("cow")
    for pages, child, parent in ((1, 0, 0), (1, 1, 1), (16, 5, 3), (40, 40, 40), (1100, 1100, 7)):
        area = cow(lab, "cow", pages, child, parent)
        info = lab.get_info("cow")
        expect(f"faults of ./cow {pages} {child} {parent}", info.at(*area), child + parent)
        expect("sum over the VMAs", sum(vma.faults for vma in info.vmas), info.total)


@scenario("Section 2.2")
def vma_list_is_that_of_proc(lab: Lab) -> None:
    """The VMAs are those of /proc/self/maps of the executed process at its end, entry by entry."""
    lab.set_param("cow")
    text = lab.run("./cow 16 5 3").text
    info = lab.get_info("cow")
    wanted = parse_maps(text)
    expect("number of VMAs", info.nb_vma, len(wanted), text)
    expect("VMAs", tuple(Vma(vma.start, vma.end) for vma in info.vmas), wanted, text)


@scenario("Section 2.2")
def vma_list_of_a_living_process(lab: Lab) -> None:
    """While the program lives, its VMAs are those of /proc/PID/maps now."""
    lab.run("printf '#!/bin/sh\\nsleep 1000\\ntrue\\n' >script; chmod +x script")
    lab.set_param("script")
    # Its memory is settled once its child runs: not before, however long that takes on a busy machine.
    lab.run("./script >/dev/null 2>&1 & until grep -qs sleep /proc/[0-9]*/comm; do usleep 50000; done; sleep 0.3")
    maps = parse_maps(lab.run("cat /proc/$(pidof script)/maps").text)
    info = lab.get_info("script")
    expect("VMAs", tuple(Vma(vma.start, vma.end) for vma in info.vmas), maps)


@scenario("Section 2.2")
def shell_script_counts_under_its_own_name(lab: Lab) -> None:
    """A script is tracked under its own name, not its interpreter's."""
    lab.run("printf '#!/bin/sh\\n(true; true)\\n/bin/busybox true\\n' >script; chmod +x script")
    lab.set_param("script")
    lab.run("./script")
    info = lab.get_info("script")
    if info.nb_vma == 0 or info.total == 0:
        raise Failed(f"a script that forks has {info.nb_vma} VMAs and {info.total} faults")


@scenario("Section 3")
def faults_of_the_kernel_do_not_count(lab: Lab) -> None:
    """Faults that the kernel takes on a process's behalf are not counted: a run without writes has none."""
    lab.set_param("cow")
    area = cow(lab, "cow", 32, 0, 0)
    expect("faults in memory that nobody wrote to after the fork", lab.get_info("cow").at(*area), 0)


@scenario("Section 2.1")
def other_programs_do_not_count(lab: Lab) -> None:
    """Programs of other names leave the statistics alone."""
    lab.run("ln cow other")
    lab.set_param("cow")
    cow(lab, "cow", 16, 5, 3)
    before = lab.get_info("cow")
    cow(lab, "other", 64, 60, 50)
    expect("statistics after another program ran", lab.get_info("cow"), before)
