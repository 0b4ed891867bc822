"""Draws a session in a guest: patchgen run -- 'COMMAND' … | python docs/pictures/session.py FILE.svg."""

import html
import sys
from pathlib import Path

LINE, CHAR, MARGIN = 18, 8.4, 16
STYLES = {"$ ": "#7ee787", "[kernel": "#ffa657", "[ERROR]": "#ff7b72"}


def draw(text: str) -> str:
    """Return the lines of a text as an SVG document, one <text> element for each."""
    lines = text.splitlines()
    width = round(max(len(line) for line in lines) * CHAR) + 2 * MARGIN
    height = len(lines) * LINE + 2 * MARGIN
    drawn = [
        f'<text x="{MARGIN}" y="{MARGIN + (number + 0.75) * LINE:g}" xml:space="preserve" '
        f'fill="{next((style for begin, style in STYLES.items() if line.startswith(begin)), "#e6edf3")}">'
        f"{html.escape(line)}</text>"
        for number, line in enumerate(lines)
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    rest = [f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>', *drawn, "</svg>"]
    return "\n".join([f'{head} font-family="monospace" font-size="14">', *rest]) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(sys.stdin.read()), encoding="utf-8")
