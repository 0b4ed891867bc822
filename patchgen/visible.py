"""Text that others wrote, made harmless: what a terminal or a reader would take for something else shows as itself."""

from __future__ import annotations

import unicodedata

# Control and format characters (bidirectional overrides are of the latter), lone surrogates, unassigned ones.
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def visible(text: str) -> str:
    r"""Return the text with each character that does not print as \xNN or \uNNNN; newlines and tabs stay."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(char if _shown(char) else _escaped(char) for char in text)


def _shown(char: str) -> bool:
    return char in "\n\t" or unicodedata.category(char) not in _HIDDEN


def _escaped(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def one_line(text: str) -> str:
    """Return the same on one line."""
    return visible(text).replace("\n", "\\n").replace("\t", " ")
