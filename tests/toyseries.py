"""A toy series for the toy tree: the engine must know nothing of the real one."""

from __future__ import annotations

from pathlib import Path

SERIES = """\
name = "toy"
title = "A toy"

[parameters]
answer = 42
word = "hello"

[[patch]]
id = "first"
paths = ["fs/exec.c", "lib/toy.c"]

[[patch]]
id = "second"
paths = ["fs/exec.c", "lib/toy.c"]
"""

EXEC = """\
[[edit]]
patch = "first"
anchor = '''
void   setup_new_exec(void)
{
'''
where = "after"
text = '''
	toy(@{ answer });
'''

[[edit]]
patch = "second"
anchor = "toy(42);"
where = "replace"
text = '''
	toy(@{ answer } + 1); /* @{ word } */
'''
"""

TOY = """\
/* step @{ patch } */
void toy(int n)
{
@% if since("second") %@
	n++;
@% endif %@
}
"""

MESSAGES = {
    "first": "toy: Add @{ word }\n\nA message that quotes a hunk:\n\n@@ -1,2 +3,4 @@\n\nand goes on.\n",
    "second": "toy: Add one more\n\nBecause.\n",
}


def write(directory: Path, **replaced: str) -> Path:
    """Write the series and return its directory; a keyword replaces a file: series, exec, toy, first, second."""
    files = {
        "series.toml": replaced.get("series", SERIES),
        "edits/fs/exec.c.toml": replaced.get("exec", EXEC),
        "files/lib/toy.c.j2": replaced.get("toy", TOY),
        "messages/first.txt.j2": replaced.get("first", MESSAGES["first"]),
        "messages/second.txt.j2": replaced.get("second", MESSAGES["second"]),
    }
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory
