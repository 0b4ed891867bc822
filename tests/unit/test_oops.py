"""Crashes as the kernel prints them, read; and the places of a submission that findings are about."""

from __future__ import annotations

from patchgen.findings import Finding, Kind, Severity
from patchgen.grading.places import Sources, located, sources
from patchgen.guest import oops
from patchgen.guest.oops import Frame
from patchgen.submission.apply import Applied, Row

NULL = """\
[    2.1] [INFO940][ERROR] pf_get_info: nothing is tracked
[    2.345678] BUG: unable to handle kernel NULL pointer dereference at 00000010
[    2.345679] IP: pf_stat_read+0x1b/0x40
[    2.345680] *pde = 00000000
[    2.345681] Oops: 0000 [#1] SMP
[    2.345682] CPU: 0 PID: 30 Comm: pfcall Not tainted 4.15.0 #1
[    2.345683] EIP: pf_stat_read+0x1b/0x40
[    2.345684] EFLAGS: 00000246 CPU: 0
[    2.345685] EAX: 00000000 EBX: c1234567 ECX: 00000000 EDX: 00000000
[    2.345686] Call Trace:
[    2.345687]  ? __might_sleep+0x10/0x20
[    2.345688]  SyS_pf_get_info+0x12/0x80
[    2.345689]  do_fast_syscall_32+0x6f/0x1b0
[    2.345690] Code: 89 f0
"""
SOURCE = """\
#include <linux/mm.h>
static int pf_stat_read(struct pf_stat_run *run,
			struct pf_stat *stat)
{
	pr_err("%s: nothing is %s\\n", call, "tracked");
	printk(KERN_INFO "reading %s\\n", name);
}
int pf_later(void);

SYSCALL_DEFINE3(pf_get_info, char __user *, name, size_t, len,
"""
PATH = "arch/x86/mm/pf_stat.c"


def made(text: str = SOURCE, base: bytes = b"#include <linux/mm.h>\n") -> Sources:
    return sources(Applied(("tree",), {}, base={PATH: base}, steps=({PATH: Row("A", "100644", text.encode())},)))


def test_a_null_pointer() -> None:
    found = oops.read(NULL)
    assert found is not None
    assert found.what == "BUG: unable to handle kernel NULL pointer dereference at 00000010"
    assert found.reason == "unable to handle kernel NULL pointer dereference"
    assert found.frames == (
        Frame("pf_stat_read", 0x1B),
        Frame("SyS_pf_get_info", 0x12),
        Frame("do_fast_syscall_32", 0x6F),
    )
    assert [frame.name for frame in found.frames[:2]] == ["pf_stat_read", "pf_get_info"]


def test_what_the_kernel_names_itself() -> None:
    found = oops.read("WARNING: CPU: 0 PID: 30 at ../src/arch/x86/mm/pf_stat.c:124 pf_stat_put.isra.3+0x5/0x9\n")
    assert found is not None
    assert (found.place, found.frames[0].name, found.reason) == (f"{PATH}:124", "pf_stat_put", "WARN_ON()")
    bug = oops.read("kernel BUG at ../src/mm/slub.c:3887!\nEIP: kfree+0x1/0x2\n")
    assert bug is not None
    assert (bug.place, bug.reason) == ("mm/slub.c:3887", "BUG()")


def test_guesses_are_better_than_nothing() -> None:
    found = oops.read("BUG: unable to handle x at (null)\nEIP: kfree+0x1/0x2\nCall Trace:\n ? pf_stat_put+0x3/0x4\n")
    assert found is not None
    assert (found.frames, found.reason) == ((Frame("kfree", 1), Frame("pf_stat_put", 3)), "unable to handle x")


def test_no_trouble_is_none() -> None:
    assert oops.read("[    0.1] Linux version 4.15.0\nkfree+0x1/0x2\n") is None


def test_a_console_of_nonsense_is_read_in_time() -> None:
    found = oops.read("BUG: x\nCall Trace:\n" + "a+0x1/0x2 " * 100000)
    assert found is not None
    assert found.frames == (Frame("a", 1),)


def test_where_a_function_is() -> None:
    text = made()
    assert text.of_function("pf_stat_read") == f"{PATH}:2"
    assert text.of_function("pf_get_info") == f"{PATH}:10"
    assert [text.of_function(name) for name in ("pf_later", "kfree", "read", "a(", "")] == [""] * 5


def test_where_a_line_of_the_log_is_made() -> None:
    text = made()
    assert text.of_log("kernel log: wanted nothing, got 'reading fork'") == f"{PATH}:6"
    assert text.of_log("[INFO940][ERROR] pf_get_info: nothing is tracked") == f"{PATH}:5"
    assert text.of_log("something else") == ""
    prefixed = made('#define pr_fmt(fmt) "[INFO940][ERROR] " fmt\n\tpr_err("[INFO940][ERROR] %s\\n", "no memory");\n')
    assert prefixed.of_log("[INFO940][ERROR] no memory") == f"{PATH}:2"
    assert prefixed.of_log("[INFO940][ERROR] tracking x") == ""
    assert text.text(f"{PATH}:6") == 'printk(KERN_INFO "reading %s\\n", name);'
    assert [text.text(place) for place in ("", "x", f"{PATH}:99", f"{PATH}:1", "mm/y.c:1")] == [""] * 5


def test_the_place_of_findings() -> None:
    logs = Finding("on-the-way", Severity.ERROR, "got 'reading one'", kind=Kind.LOG)
    residue = Finding("residue-print", Severity.ERROR, "printk below KERN_ERR", kind=Kind.LOG, path=PATH, line=6)
    build = Finding("build", Severity.ERROR, "it does not build", evidence=f"../src/{PATH}:3:5: error: x")
    elsewhere = Finding("build", Severity.ERROR, "x", evidence="kernel/fork.c:3:5: error: x")
    wrong = Finding("scenario", Severity.ERROR, "got 'reading one'", kind=Kind.BEHAVIOUR)
    assert [one.place for one in located([logs, residue, build, elsewhere, wrong], made())] == [
        f"{PATH}:6",
        f"{PATH}:6",
        f"{PATH}:3",
        "",
        "",
    ]


def test_what_was_not_applied_has_no_lines() -> None:
    assert sources(None).lines == {}
