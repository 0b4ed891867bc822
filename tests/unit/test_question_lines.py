"""What make prints when it asks, as real runs printed it."""

from __future__ import annotations

from patchgen.kernel import questions

ABORTED = """\
make[1]: Entering directory '/out'
scripts/kconfig/conf  --silentoldconfig Kconfig
*
* Restart config...
*
*
* Processor type and features
*
64-bit kernel (64BIT) [N/y/?] n
Statistics of copy-on-write page faults (PF_STAT) [Y/n/?] (NEW) aborted!

Console input/output is redirected. Run 'make oldconfig' to update configuration.

make[2]: *** [scripts/kconfig/Makefile:40: silentoldconfig] Error 1
"""
OPTION = "Statistics of copy-on-write page faults (PF_STAT) [Y/n/?] (NEW) aborted!"
REDIRECTED = "Console input/output is redirected. Run 'make oldconfig' to update configuration."


def test_the_question_is_the_evidence() -> None:
    assert list(questions._shown(ABORTED)) == [OPTION, REDIRECTED]


def test_options_are_named() -> None:
    assert questions.options(ABORTED) == ["PF_STAT"]
    assert questions.options("Longest name (PF_NAME_MAX) [64] (NEW) \nB (B2) [N/y/m/?] (NEW) ") == ["PF_NAME_MAX", "B2"]


def test_what_is_known_already_is_no_question() -> None:
    assert questions.options("64-bit kernel (64BIT) [N/y/?] n") == []
