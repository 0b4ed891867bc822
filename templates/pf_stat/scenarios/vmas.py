"""Which VMAs are listed, and which of them a fault belongs to."""

from __future__ import annotations

from .lab import Failed, Lab, Vma, expect, page, parse_maps, scenario

_THIRTY_TWO = ("map,0,32,rw,anon", "write,0,32", "fork", "write,0,32", "end")


def bounds(vmas: tuple[Vma, ...]) -> tuple[tuple[int, int], ...]:
    """Return start and end of each."""
    return tuple((vma.start, vma.end) for vma in vmas)


@scenario("S3", "2.2-7")
def vmas_are_those_of_proc(lab: Lab) -> None:
    """The VMAs are those of /proc/self/maps of the executed process at its end, entry by entry."""
    played = lab.track("one", "map,0,16,rw,anon", "write,0,16", "map,40,3,r,anon", "brk,5", "fork", "end", "maps")
    info = lab.get_info("one")
    expect("number of VMAs", info.nb_vma, len(played.maps[-1]), played.text)
    expect("VMAs", info.bounds, bounds(played.maps[-1]), played.text)


@scenario("S3")
def vmas_of_a_run_without_a_fault(lab: Lab) -> None:
    """A program that has no copy-on-write fault has its VMAs listed all the same."""
    played = lab.track("one", "map,0,4,rw,anon", "maps")
    info = lab.get_info("one")
    expect("VMAs", info.bounds, bounds(played.maps[-1]), played.text)
    expect("total", info.total, 0)


@scenario("S3")
def vmas_of_a_living_process(lab: Lab) -> None:
    """While the program lives, its VMAs are those of /proc/PID/maps now."""
    steps = ("map,0,4,rw,anon", "maps", "info,one", "map,50,4,rw,anon", "map,60,4,r,anon", "maps", "info,one")
    played = lab.track("one", *steps, "unmap,0,4", "protect,50,2,r", "maps", "info,one")
    for number, (maps, info) in enumerate(zip(played.maps, played.infos, strict=True)):
        expect(f"VMAs, for the {number + 1}. time", info.bounds, bounds(maps), played.text)


@scenario("S3")
def vmas_of_a_sleeping_process(lab: Lab) -> None:
    """The same, asked by another process about one that sleeps."""
    lab.program("one")
    lab.set_param("one")
    lab.run("./one map,0,4,rw,anon map,9,1,r,anon touch,/tmp/a sleep,60000 & until [ -e /tmp/a ]; do usleep 2000; done")
    maps = parse_maps(lab.run("cat /proc/$(pidof one)/maps").text)
    expect("VMAs", lab.get_info("one").bounds, bounds(maps))


@scenario("S14")
def the_program_cannot_keep_its_reader_away(lab: Lab) -> None:
    """While threads of the program map and unmap without pause, pf_get_info takes at most twice as long as maps."""
    lab.set_param("churn")
    lab.run("./churn 4 & sleep 0.2")
    # Means, of calls that take turns. One try in which the host stops the guest at the wrong moment decides nothing.
    for _ in range(3):
        text = lab.run("./stopwatch time $(pidof churn) 40").text
        maps, info = (int(line.split()[1]) for line in text.splitlines())
        if info <= 2 * maps:
            return
    raise Failed(f"pf_get_info takes {info / maps:.0f} times as long as reading /proc/PID/maps:\n{text}")


@scenario("S3")
def vmas_of_a_living_script(lab: Lab) -> None:
    """A shell script that waits for its child is listed with the VMAs of the shell that runs it."""
    lab.run("printf '#!/bin/sh\\nsleep 1000\\ntrue\\n' >script; chmod +x script")
    lab.set_param("script")
    # Its memory is settled once it waits for its child: not before, however long that takes on a busy machine.
    lab.run("./script >/dev/null 2>&1 & until grep -qs sleep /proc/[0-9]*/comm; do usleep 20000; done")
    lab.run("until grep -qs '^State:.S' /proc/$(pidof script)/status; do usleep 20000; done")
    maps = parse_maps(lab.run("cat /proc/$(pidof script)/maps").text)
    expect("VMAs", lab.get_info("script").bounds, bounds(maps))


@scenario("S3")
def vmas_are_of_the_executed_process_not_of_its_child(lab: Lab) -> None:
    """What a child maps or unmaps is not in the list."""
    steps = ("map,0,4,rw,anon", "fork", "map,50,4,rw,anon", "unmap,0,4", "end", "maps")
    played = lab.track("one", *steps)
    expect("VMAs", lab.get_info("one").bounds, bounds(played.maps[-1]), played.text)


@scenario("2.2-7")
def code_heap_and_stack_are_listed(lab: Lab) -> None:
    """The VMAs of code, heap and stack are among those listed."""
    played = lab.track("one", "brk,8", "hwrite,0,8", "maps")
    listed = set(lab.get_info("one").bounds)
    for what in ("/root/play", "[heap]", "[stack]"):
        lines = [line for line in played.text.splitlines() if line.endswith(what)]
        if not lines or not {(vma.start, vma.end) for vma in parse_maps("\n".join(lines))} <= listed:
            raise Failed(f"{what} is not listed:\n{played.text}")


@scenario("S2")
def a_split_vma_keeps_its_faults(lab: Lab) -> None:
    """32 faults, then mprotect splits the VMA in 10, 4 and 18 pages: 10, 4 and 18 faults."""
    lab.track("one", *_THIRTY_TWO, "protect,10,4,r")
    info = lab.get_info("one")
    expect("faults", [info.pages(0, 10), info.pages(10, 4), info.pages(14, 18)], [10, 4, 18])


@scenario("S2")
def a_merged_vma_keeps_its_faults(lab: Lab) -> None:
    """Merged again it has all 32."""
    lab.track("one", *_THIRTY_TWO, "protect,10,4,r", "protect,10,4,rw")
    expect("faults", lab.get_info("one").pages(0, 32), 32)


@scenario("S2")
def a_mapping_that_is_merged_leaves_the_faults(lab: Lab) -> None:
    """Memory that is mapped beside a VMA, and becomes one with it, leaves it its faults."""
    lab.track("one", "map,0,8,rw,anon", "write,0,8", "fork", "write,0,8", "end", "map,8,8,rw,anon")
    expect("faults of the one VMA", lab.get_info("one").at(page(0), page(16)), 8)


@scenario("S2")
def a_neighbour_that_is_merged_brings_its_faults(lab: Lab) -> None:
    """Two VMAs that become one have the faults of both."""
    steps = ("map,0,8,rw,anon", "map,8,8,r,anon", "write,0,8", "fork", "write,0,3", "end")
    lab.track("one", *steps, "protect,8,8,rw", "write,8,8", "fork", "write,8,5", "end")
    info = lab.get_info("one")
    expect("faults", sum(vma.faults for vma in info.vmas if page(0) <= vma.start < page(16)), 8)
    expect("sum over the VMAs", sum(vma.faults for vma in info.vmas), info.total)


@scenario("S2")
def a_heap_that_grows_is_one_vma(lab: Lab) -> None:
    """Faults in the old and in the new part of the heap are in the one VMA that it is."""
    steps = ("brk,8", "hwrite,0,8", "fork", "hwrite,0,5", "end", "brk,16", "hwrite,8,8", "fork", "hwrite,8,6", "end")
    played = lab.track("one", *steps, "maps")
    heap = parse_maps("\n".join(line for line in played.text.splitlines() if line.endswith("[heap]")))
    expect("VMAs of the heap", len(heap), 1, played.text)
    expect("faults", lab.get_info("one").at(heap[0].start, heap[0].end), 11)


@scenario("S4", "2.2-2")
def more_vmas_than_there_is_room_for(lab: Lab) -> None:
    """Of 300 VMAs 128 are listed; the total has the faults of all."""
    # The second info is the base line: by then the process has all pages of its own that it needs for asking.
    steps = ("stripes,0,300", "map,600,8,rw,anon", "write,600,8", "fork", "end", "maps", "info,one", "info,one")
    played = lab.track("one", *steps, "write,600,7", "info,one")
    first, second = played.infos[1:]
    expect("nb_vma", second.nb_vma, 128)
    expect("VMAs", second.bounds, bounds(played.maps[-1])[:128])
    expect("faults in a VMA that is not listed, in the total", second.total - first.total, 7)
    expect("faults of the VMAs that are listed", second.vmas, first.vmas)


@scenario("S4")
def unmapped_memory_is_in_the_total_only(lab: Lab) -> None:
    """Faults in memory that was unmapped since are in the total, and in no VMA."""
    lab.track("one", *_THIRTY_TWO, "unmap,0,32")
    info = lab.get_info("one")
    expect("total without the faults of VMAs", info.total - sum(vma.faults for vma in info.vmas), 32)


@scenario("S4")
def what_is_mapped_there_next_starts_with_none(lab: Lab) -> None:
    """Memory mapped where other memory was does not inherit its faults; a part that stayed keeps its own."""
    lab.track("one", *_THIRTY_TWO, "unmap,8,24", "map,16,16,rw,anon", "write,16,16", "fork", "write,16,2", "end")
    info = lab.get_info("one")
    expect("faults of the part that stayed", info.pages(0, 8), 8)
    expect("faults of what was mapped later", info.pages(16, 16), 2)


@scenario("S4")
def mapped_over_starts_with_none(lab: Lab) -> None:
    """So it is for memory that is mapped over other memory, in one call."""
    lab.track("one", *_THIRTY_TWO, "map,0,32,rw,anon")
    info = lab.get_info("one")
    expect("faults", info.pages(0, 32), 0)
    expect("total without the faults of VMAs", info.total - sum(vma.faults for vma in info.vmas), 32)


@scenario("S4")
def a_childs_munmap_takes_nothing_away(lab: Lab) -> None:
    """A child that unmaps memory does not take the faults of the executed process's VMA away."""
    lab.track("one", "map,0,8,rw,anon", "write,0,8", "fork", "write,0,5", "unmap,0,8", "end", "write,0,1")
    expect("faults", lab.get_info("one").pages(0, 8), 6)


@scenario("S4")
def a_childs_mapping_takes_nothing_away(lab: Lab) -> None:
    """A child that maps memory over a VMA does not take the faults of the executed process's VMA away."""
    lab.track("one", "map,0,8,rw,anon", "write,0,8", "fork", "write,0,5", "map,0,8,rw,anon", "end", "write,0,1")
    expect("faults", lab.get_info("one").pages(0, 8), 6)


# A child of the executed process maps memory, and its own child faults there; so nobody has it any more.
_A_CHILDS = ("fork", "map,0,16,rw,anon", "write,0,16", "fork", "write,0,10", "end", "end")


@scenario("S4")
def what_a_child_had_mapped_counts_for_nobody_else(lab: Lab) -> None:
    """Memory that the executed process maps where only a child had any begins with no faults."""
    lab.track("one", *_A_CHILDS, "map,0,16,rw,anon", "write,0,16", "fork", "write,0,3", "end")
    info = lab.get_info("one")
    expect("faults", info.pages(0, 16), 3)
    expect("total without the faults of VMAs", info.total - sum(vma.faults for vma in info.vmas), 10)


@scenario("S4")
def moved_and_grown_memory_starts_with_none(lab: Lab) -> None:
    """So does memory that mremap moves to such a place, or makes larger."""
    lab.track("one", *_A_CHILDS, "map,100,4,rw,anon", "write,100,4", "move,100,4,0", "grow,0,4,8")
    expect("faults", lab.get_info("one").pages(0, 8), 0)


@scenario("S4")
def a_heap_that_grows_starts_with_none(lab: Lab) -> None:
    """So does the part by which the heap grows."""
    childs = ("fork", "brk,24", "hwrite,8,16", "fork", "hwrite,8,16", "end", "end")
    played = lab.track("one", "brk,8", "hwrite,0,8", *childs, "brk,24", "fork", "hwrite,0,3", "end", "maps")
    heap = parse_maps("\n".join(line for line in played.text.splitlines() if line.endswith("[heap]")))
    expect("VMAs of the heap", len(heap), 1, played.text)
    expect("faults", lab.get_info("one").at(heap[0].start, heap[0].end), 3)


@scenario("S4")
def a_stack_that_grows_starts_with_none(lab: Lab) -> None:
    """So does the part of the stack that the executed process reaches for the first time."""
    childs = ("fork", "stack,120", "fork", "stack,120", "end", "end")
    before, after = lab.track("one", *childs, "info,one", "stack,120", "info,one").infos
    grown, more = before.vmas[-1].start - after.vmas[-1].start, after.vmas[-1].faults - before.vmas[-1].faults
    expect("the stack has grown by more than 100 pages", grown > 100 * 4096, True)
    # The pages that it had when it forked can have one each; those of the child would be 100 more.
    expect("faults that it has more are fewer than 60", more < 60, True, f"{more}")


@scenario("2.2-2", "2.2-1")
def the_structure_has_its_form(lab: Lab) -> None:
    """The five fields are where they belong, within 1,544 bytes; what no VMA uses is zero or left alone."""
    lab.track("one", "map,0,8,rw,anon", "write,0,8", "fork", "write,0,5", "end")
    told = lab.call("get", "one", "-", "guarded")
    expect("result", told.ret, 0)
    expect("what pfcall says of the structure", told.notes, ("untouched before and behind", "nothing beyond nb_vma"))


@scenario("2.2-2", "3-4")
def no_kernel_memory_beyond_the_vmas(lab: Lab) -> None:
    """What no VMA uses is zero or left alone for a living process too, whatever the kernel's memory held before."""
    lab.track("two", "stripes,0,200")
    lab.program("one")
    lab.set_param("one")
    lab.run("./one touch,/tmp/a sleep,60000 & until [ -e /tmp/a ]; do usleep 2000; done")
    # The first call leaves 128 VMAs in memory that it frees, and that the second one may get.
    both = "pfcall get two - here >/dev/null; pfcall get one - guarded"
    told = lab.run(f"i=0; while [ $i -lt 10 ]; do {both}; i=$((i+1)); done").text
    expect("results", sorted({line for line in told.splitlines() if line.startswith("ret ")}), ["ret 0"])
    notes = {line.removeprefix("note ") for line in told.splitlines() if line.startswith("note ")}
    expect("what pfcall says of the structure", sorted(notes), ["nothing beyond nb_vma", "untouched before and behind"])


@scenario("2.2-7")
def a_stack_that_grows_is_listed_as_it_is(lab: Lab) -> None:
    """The stack's start is where it has grown to."""
    played = lab.track("one", "fork", "end", "maps", "info,one")
    expect("VMAs", played.infos[-1].bounds, bounds(played.maps[-1]), played.text)
