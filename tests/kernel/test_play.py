"""The guest program that scenarios and random programs are made of: what the random ones do not use of it."""

from __future__ import annotations

import pytest
from pf_stat.scenarios.lab import parse_info

from patchgen.guest.testbed import Testbed


@pytest.mark.parametrize(
    ("words", "faults"),
    [
        ("start write,0,3 end start write,1,1 end join", 4),
        ("tstart write,0,2 end tstart write,2,2 end join", 0),
        # One after the other: a fork between a fault and the write that it is for makes that fault again.
        ("start tstart write,0,2 touch,t1 end await,t1 start write,0,4 end join end join write,3,1", 7),
        ("fork tstart sleep,20000 write,0,1 end end", 0),  # it ends before that
        ("orphan write,0,1 touch,o1 end await,o1", 1),
        ("fork orphan start write,0,1 end join touch,o2 end end await,o2 write,0,1", 2),
        ("start sleep,1 write,0,1 touch,s1 end await,s1 join", 1),
        ("fork race,0,4,32 end", 4),
        ("fork exit write,0,4 end", 0),
        ("fork thread exit end write,0,4 end", 0),
        ("fork thread crash,9 end write,0,4 end", 0),
        ("fork exec,/root/play map,1,1,rw,anon end", 0),
    ],
)
def test_faults(series_bed: Testbed, words: str, faults: int) -> None:
    with series_bed.ready() as guest:
        script = f"play set,exe run,/proc/self/exe map,0,4,rw,anon write,0,4 {words} end info,exe cleanup"
        result = guest.run(script)
    assert result.status == 0, result.text
    first, *info, last = result.text.splitlines()
    assert (first, info.pop(0), last) == ("ret 0", "ret 0", "ret 0")
    vmas = [vma for vma in parse_info(info).vmas if vma.start >> 24 == 0x20]
    assert [(vma.start, vma.end, vma.faults) for vma in vmas] == [(0x20000000, 0x20004000, faults)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("nonsense", "nonsense: error 22\n"),
        ("unmap,0", "unmap: error 22\n"),
        ("map,0,1,rw,heap", "map: error 22\n"),
        ("fork write,0,1", "no end: error 22\n"),
        ("map,0,1,rw,file", "map: error 2\n"),
        ("protect,0,1,r", "protect: error 12\n"),
        ("map,0,1,rw,anon crash,0", "no SIGSEGV at crash: error 0\n"),
        ("fork unmap,0 end", "unmap: error 22\nthe child's status of fork: error 256\n"),
        ("exec,/nowhere", "exec: error 2\n"),
        ("vrun,/nowhere end", "the child's status of vrun: error 256\n"),
    ],
)
def test_what_is_wrong_is_said(series_bed: Testbed, words: str, said: str) -> None:
    with series_bed.ready() as guest:
        result = guest.run(["play", *words.split(), "touch,never"])
        assert guest.run("ls never").status == 1
    assert (result.status, result.text) == (1, said)


def test_on_an_unpatched_kernel(vanilla_bed: Testbed) -> None:
    with vanilla_bed.ready() as guest:
        result = guest.run(
            "play set,exe map,0,2,rw,anon write,0,2 fork write,0,1 end info,exe cleanup move,0,2,1 exit x"
        )
    assert (result.status, result.text) == (0, "ret -38\nret -38\nret -38\nmove -22\n")
