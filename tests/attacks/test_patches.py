"""Patches that are an attack: on the shell, on git, on the terminal, on us."""

from __future__ import annotations

import base64
import random
import subprocess
import time
import zlib
from pathlib import Path

import pytest
import toytree
from attacks.catalogue import Attack, named, needs_sandbox

from patchgen import sandbox
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.checks import checkpatch
from patchgen.errors import ApplyError, SubmissionError
from patchgen.submission import apply, growth, patches, toolroom

BOX = None if sandbox.why_not() else sandbox.Sandbox()
HEAD = "From 1111111111111111111111111111111111111111 Mon Sep 17 00:00:00 2001\nFrom: {author}\n"
HEAD += "Date: Sat, 1 Apr 2023 12:00:00 +0000\nSubject: [PATCH] {subject}\n{extra}\n{message}\n---\n"


def mail(
    diff: str, *, author: str = "A <a@b>", subject: str = "x: Add y", message: str = "Text.", extra: str = ""
) -> bytes:
    text = HEAD.format(author=author, subject=subject, message=message, extra=extra) + diff
    return text.encode(errors="surrogateescape")


def new_file(path: str, mode: str = "new file mode 100644", old: str = "") -> str:
    old = old or path
    return f"diff --git a/{old} b/{path}\n{mode}\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+y\n"


def bare(path: str, mode: str) -> str:
    """A change of the modes alone."""
    return f"diff --git a/{path} b/{path}\n{mode}\n"


def encoded(diff: str) -> bytes:
    body = base64.encodebytes(f"Text.\n---\n{diff}".encode()).decode()
    text = HEAD.format(
        author="A <a@b>",
        subject="x: y",
        message="",
        extra="Content-Transfer-Encoding: base64\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n",
    )
    return (text.removesuffix("\n---\n") + "\n" + body).encode()


def binary_bomb() -> str:
    data = base64.b85encode(zlib.compress(b"\0" * (1 << 20))[:52]).decode()
    head = "diff --git a/y b/y\nnew file mode 100644\nGIT binary patch\nliteral 4000000000\n"
    return f"{head}z{data}\n\nliteral 0\nHcmV?d00001\n"


def copy(old: str, new: str) -> str:
    return f"diff --git a/{old} b/{new}\nsimilarity index 100%\ncopy from {old}\ncopy to {new}\n"


ONE = "exactly one mail in each file"
TEXT = "paths of kernel files only"
PLAIN = "plain files only, and a look at what git made"
ATTACKS = (
    Attack(
        "a file name with backticks, for the shell that checkpatch runs",
        TEXT,
        mail(new_file("x`id>owned`.c")),
        "not allowed",
    ),
    Attack("a file name with $()", TEXT, mail(new_file("x$(id>owned).c")), "not allowed"),
    Attack("a file name with a semicolon and spaces", TEXT, mail(new_file("x; touch owned; .c")), "not allowed"),
    Attack(
        "a file name with a newline, quoted as git does",
        TEXT,
        mail('diff --git "a/x\\ny" "b/x\\ny"\nnew file mode 100644\n--- /dev/null\n+++ "b/x\\ny"\n@@ -0,0 +1 @@\n+y\n'),
        "not allowed",
    ),
    Attack("a file name with terminal escapes", TEXT, mail(new_file("x\x1b[2J.c")), r"\x1b[2J"),
    Attack("a file name that is no UTF-8", TEXT, mail(new_file("x\udcff\udcfe.c")), "not allowed"),
    Attack(
        "a command in a commit message's +++ line, where checkpatch looks too",
        "the whole mail is looked at",
        mail(new_file("y"), message="+++ $(id>owned)"),
        "not allowed",
    ),
    Attack(
        "a diff --git line in a commit message, with a command",
        "the whole mail is looked at",
        mail(new_file("y"), message="diff --git a/x b/$(id>owned)"),
        "not allowed",
    ),
    Attack(
        "the same in a diff that the mail has in base64",
        "the decoded diff is looked at too",
        encoded(new_file("x`id>owned`.c")),
        "not allowed",
    ),
    Attack("a path that climbs", TEXT, mail(new_file("../../owned")), "not allowed"),
    Attack("an absolute path", TEXT, mail(new_file("/tmp/owned", old="tmp/owned")), "not allowed"),
    Attack(
        "a file in .git/: a hook",
        "names that git obeys are refused; hooks are off",
        mail(new_file(".git/hooks/post-applypatch")),
        "not allowed",
    ),
    Attack(
        "a file in .GIT/ further down",
        "names that git obeys are refused",
        mail(new_file("kernel/.GIT/config")),
        "not allowed",
    ),
    Attack(
        "a .gitattributes file, that changes how the next patch is read",
        "names that git obeys are refused",
        mail(new_file("kernel/.gitattributes")),
        "not allowed",
    ),
    Attack(
        "a .gitmodules file", "names that git obeys are refused", mail(new_file("kernel/.gitmodules")), "not allowed"
    ),
    Attack("a symbolic link (mode 120000)", PLAIN, mail(new_file("y", "new file mode 120000")), "a symbolic link"),
    Attack(
        "a symbolic link, its mode spelled as only git reads it",
        PLAIN,
        mail(new_file("y", "new file mode   +0120000")),
        "a symbolic link",
    ),
    Attack(
        "a symbolic link in a mail whose message runs into the diff",
        PLAIN,
        mail(new_file("y", "new file mode 120000") + new_file("z")).replace(b"\n---\ndiff", b"\ndiff"),
        "a symbolic link",
    ),
    Attack(
        "a file that becomes a symbolic link",
        PLAIN,
        mail(bare("Makefile", "old mode 100644\nnew mode 120000")),
        "a symbolic link",
    ),
    Attack("a submodule (mode 160000)", PLAIN, mail(new_file("y", "new file mode 160000")), "a submodule"),
    Attack(
        "a file that anybody may write, or runs as root (mode 104777)",
        PLAIN,
        mail(new_file("y", "new file mode 104777")),
        "mode '104777'",
    ),
    Attack(
        "a renaming that leads out of the tree",
        TEXT,
        mail("diff --git a/Makefile b/Makefile\nsimilarity index 100%\nrename from Makefile\nrename to ../owned\n"),
        "not allowed",
    ),
    Attack(
        "a copy of a kernel file to .git/config",
        "names that git obeys are refused",
        mail("diff --git a/Makefile b/Makefile\nsimilarity index 100%\ncopy from Makefile\ncopy to .git/config\n"),
        "not allowed",
    ),
    Attack("a binary diff that inflates to 4 GB", "text only", mail(binary_bomb()), "binary diff"),
    Attack(
        "a patch of 100 MB", "limit on a patch's size", mail(new_file("y")) + b"+y\n" * (35 << 20), "a patch may have"
    ),
    Attack(
        "a line of 3 MB, on which patterns take its square",
        "limit on a line's length",
        mail(f"diff --git {'x' * (3 << 20)} \n"),
        "has a line of more than",
    ),
    Attack(
        "a patch to 1,000 files",
        "limit on their number",
        mail("".join(new_file(f"f{n}") for n in range(1000))),
        "touches 1000 files",
    ),
    Attack(
        "a hunk that says it has a billion lines",
        "an error of the patch, not of ours",
        mail("diff --git a/y b/y\n--- a/y\n+++ b/y\n@@ -1,999999999 +1,999999999 @@\n y\n"),
        "the diff is damaged",
    ),
    Attack(
        "a second mail behind the first, in base64",
        ONE,
        mail(new_file("y")) + b"\n" + encoded(new_file("owned.sh")),
        "more than one mail",
    ),
    Attack("something else before the mail", ONE, b"Junk.\n\n" + mail(new_file("y")), "before the mail"),
    Attack(
        "a series of StGit's, whose file names git am opens: ../../../dev/zero",
        ONE,
        b"# This series applies on GIT commit 1111111\n../../../../../../../../dev/zero\n" + mail(new_file("y")),
        "before the mail",
    ),
    Attack("a mail inside the mail's base64", ONE, encoded(mail(new_file("y")).decode()), "a mail in the mail"),
    Attack("a zero byte, where C programs take a text to end", "text only", mail(new_file("y\0z")), "zero byte"),
    Attack(
        "a diff that names a file in one way for git and in another for us",
        "what git am made is compared with what was checked",
        mail("--- /dev/null\n+++ kernel/y\n@@ -0,0 +1 @@\n+y\n"),
        "not what its diff says",
    ),
    Attack(
        "100,000 lines of one character, in 5 KB of archive",
        "limit on the lines of all patches",
        mail("diff --git a/y b/y\n--- /dev/null\n+++ b/y\n@@ -0,0 +1,100000 @@\n" + "+y\n" * 100_000),
        "50000 lines",
    ),
    Attack(
        "a commit message of 100 KB",
        "limit on its length",
        mail(new_file("y"), message=f"{'x' * 1000}\n" * 100),
        "a commit message of more than",
    ),
    Attack(
        "400 copies of a large file, in 3 KB of archive",
        "what is added up to is limited before it is applied",
        mail("".join(copy("drivers/big.h", f"fs/c{number}.h") for number in range(400))),
        "add up to is too large",
    ),
    Attack(
        "copies of copies, each twice as many",
        "what is added up to is limited before it is applied",
        mail(
            "".join(
                copy(f"fs/c{number // 2}.h" if number > 1 else "drivers/big.h", f"fs/c{number}.h")
                for number in range(1, 400)
            )
        ),
        "add up to is too large",
    ),
    Attack(
        "a diff of random bytes",
        "an error of the patch, not of ours",
        mail("diff --git a/y b/y\n") + random.Random(1).randbytes(4096).translate(None, b"\n\0"),
        "does not apply",
    ),
)


@pytest.fixture
def origin(tmp_path: Path, cache: Cache) -> Source:
    return toytree.obtain(tmp_path / "linux", cache, ["Makefile"])


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_a_hostile_patch_is_refused(attack: Attack, origin: Source, tmp_path: Path, cache: Cache) -> None:
    begin = time.monotonic()
    with pytest.raises(SubmissionError) as caught:
        apply.apply(origin, [patches.read("0001-a.patch", attack.means, cache, BOX)], cache, BOX)
    assert attack.said in caught.value.message
    assert "\x1b" not in caught.value.message
    assert time.monotonic() - begin < 5
    assert not list(tmp_path.rglob("owned*"))


ODD = Attack(
    "non-UTF-8 and escapes everywhere: author, subject, message, content",
    "bytes are kept for git; what is shown is spelled out",
    mail(
        new_file("fs/odd.c").replace("+y", "+\udcff\x1b[31m"),
        author="\udcff\x1b[31m <a@b>",
        subject="\udcfe\x1b]0;owned\x07",
        message="\udcfd\u202e\u2028\x9b31m",
    ),
)
WRITTEN_ANEW = Attack(
    "a symbolic link that no check has seen in the patch",
    "a look at what git made",
    new_file("fs/link", "new file mode 120000").replace("+y", "+/etc/passwd\n\\ No newline at end of file"),
)
_LONG = "--- /dev/null\n+++ b/y\n@@ -0,0 +1,30000 @@\n" + "+a\n" * 30000
_SOUGHT = "--- a/y\n+++ b/y\n@@ -1,15001 +1,15001 @@\n" + " a\n" * 15000 + "-b\n+c\n"
BUSY = Attack(
    "a hunk that git am looks for for minutes",
    "git am runs in the sandbox, with 5 s of CPU time",
    [
        mail(f"diff --git a/y b/y\nnew file mode 100644\n{_LONG}"),
        mail(f"diff --git a/y b/y\n{_SOUGHT}"),
    ],
    "was stopped: it used more than",
)
PARENTHESES = Attack(
    "1,000 parentheses that are not closed, for checkpatch",
    "checkpatch runs in the sandbox, for as long as a patch of that length may take",
    mail(new_file("fs/x.c").replace("@@ -0,0 +1 @@", "@@ -0,0 +1,1000 @@").replace("+y\n", "+\tfoo(\n" * 1000)),
    "checkpatch comes to no end",
)
OTHERS = (ODD, WRITTEN_ANEW, BUSY, PARENTHESES)


def test_odd_bytes_give_a_verdict(origin: Source, cache: Cache) -> None:
    patch = patches.read("0001-a.patch", ODD.means, cache)
    for text in (patch.subject, patch.author, patch.message):
        text.encode()  # no surrogates
        assert not set(text) & set("\x1b\x07\x9b\u202e\u2028")
    assert apply.apply(origin, [patch], cache).trees


def test_the_tree_is_looked_at_as_well(origin: Source, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "_refuse_hostile", lambda _: None)
    patch = patches.read("0001-a.patch", mail(WRITTEN_ANEW.means), cache)
    with pytest.raises(ApplyError, match="something else than plain files") as caught:
        apply.apply(origin, [patch], cache)
    assert caught.value.evidence == "fs/link"


def test_git_would_have_made_that_link(tmp_path: Path) -> None:
    """The spelling with spaces and zeros is no invention: git takes it."""
    attack = next(one for one in ATTACKS if "as only git reads it" in one.what)
    toytree.commit(toytree.write(tmp_path / "tree"))
    (tmp_path / "mail").write_bytes(attack.means)
    subprocess.run(["git", "apply", "--index", tmp_path / "mail"], cwd=tmp_path / "tree", check=True)
    assert toytree.git(tmp_path / "tree", "ls-files", "-s", "y").startswith("120000")


@needs_sandbox
def test_what_keeps_git_busy_is_stopped(origin: Source, cache: Cache) -> None:
    mails = patches.read_mails({f"{number}.patch": data for number, data in enumerate(BUSY.means)}, cache, BOX)
    room = toolroom.Toolroom(cache, BOX, cpu=1)
    with pytest.raises(ApplyError) as caught:
        apply._apply(origin, mails, room, apply.LENIENT)
    assert BUSY.said in caught.value.message


@needs_sandbox
@pytest.mark.parametrize(
    ("script", "said"),
    [("sleep 60", PARENTHESES.said), ("while (1) {}", PARENTHESES.said), ("die 'odd'", "checkpatch failed on")],
)
def test_what_keeps_checkpatch_busy_is_the_submissions_fault(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    monkeypatch.setattr(checkpatch, "_LEAST_SECONDS", 1.0)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "checkpatch.pl").write_text(script)
    tmp_path.chmod(0o755)
    patch = patches.read("0001-a.patch", mail(new_file("fs/x.c")), cache, BOX)
    with pytest.raises(SubmissionError, match=said):
        checkpatch.check([patch], tmp_path, "tree", cache, BOX)


def test_what_patches_add_up_to(cache: Cache) -> None:
    """Copies count at their size, and so do copies of them; what goes is not taken off."""
    diff = (
        copy("a.h", "b.h")
        + "diff --git a/a.h b/c.h\nsimilarity index 90%\nrename from a.h\nrename to c.h\n"
        + "--- a/a.h\n+++ b/c.h\n@@ -1,2 +1,3 @@\n one\n+two\n three\n"
        + "diff --git a/d.h b/d.h\ndeleted file mode 100644\n--- a/d.h\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
        + new_file("e.h")
    )
    first = patches.read("0001-a.patch", mail(diff), cache)
    second = patches.read("0002-b.patch", mail(copy("b.h", "f.h") + copy("e.h", "d.h")), cache)
    base = {"a.h": growth.size_of(b"one\nthree\n"), "d.h": growth.size_of(b"x")}
    assert growth.reckon([first, second], base) == [
        {
            "a.h": growth.Effect("D", 0),
            "b.h": growth.Effect("A", 2),
            "c.h": growth.Effect("A", 3),
            "d.h": growth.Effect("D", 0),
            "e.h": growth.Effect("A", 1),
        },
        {"f.h": growth.Effect("A", 2), "d.h": growth.Effect("A", 1)},
    ]


def test_what_git_has_made_is_what_was_checked(origin: Source, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another path, another kind, another number of lines, one that is not there: each is a refusal."""
    patch = patches.read("0001-a.patch", mail(new_file("fs/y.c")), cache)
    for wrong in (
        {"fs/z.c": ("A", 1)},
        {"fs/y.c": ("M", 1)},
        {"fs/y.c": ("A", 2)},
        {},
        {"fs/y.c": ("A", 1), "x": ("D", 0)},
    ):
        expected = [{path: growth.Effect(*effect) for path, effect in wrong.items()}]
        monkeypatch.setattr(growth, "reckon", lambda *_, expected=expected: expected)
        with pytest.raises(ApplyError, match="not what its diff says"):
            apply.apply(origin, [patch], cache)
