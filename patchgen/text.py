"""Text that others wrote, made harmless: what a terminal or a reader would take for something else shows as itself."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping

# Control and format characters (bidirectional overrides are of the latter), lone surrogates, unassigned ones.
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
# What else shows as nothing or as a blank: Unicode's Default_Ignorable_Code_Point as far as it is of other categories
# (joiners, fillers, variation selectors), the empty Braille pattern, and the blanks but for the one that we know.
_EMPTY = frozenset(
    chr(number)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for number in range(first, last + 1)
)


def visible(text: str) -> str:
    r"""Return the text with each character that does not print as \xNN or \uNNNN; newlines and tabs stay."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(char if _shown(char) else _escaped(char) for char in text)


def _shown(char: str) -> bool:
    if char in "\n\t ":
        return True
    kind = unicodedata.category(char)
    return kind != "Zs" and kind not in _HIDDEN and char not in _EMPTY


def _escaped(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def one_line(text: str) -> str:
    """Return the same on one line."""
    return visible(text).replace("\n", "\\n").replace("\t", " ")


def everywhere(value: object, change: Callable[[str], str]) -> object:
    """Return nested data with each text in it changed, the names of what it has too."""
    match value:
        case str():
            return change(str(value))
        case Mapping():
            return {everywhere(key, change): everywhere(inner, change) for key, inner in value.items()}
        case list() | tuple():
            return [everywhere(inner, change) for inner in value]
    return value
