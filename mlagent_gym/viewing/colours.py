"""Syntax colours: a unified diff as lines of coloured pieces, by Pygments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

__all__ = ["DiffLine", "colour_diff"]

Piece: TypeAlias = tuple[str, str]
"""A colour's name (empty: none) and the text that has it."""
DiffLine: TypeAlias = tuple[str, tuple[Piece, ...]]
"""``+``, ``-``, a blank, ``@`` (where a hunk is) or ``f`` (which file), and the line."""

_COLOURS = {
    "Keyword": "k",
    "Literal.String": "s",
    "Literal.Number": "n",
    "Comment": "c",
    "Name.Function": "f",
    "Name.Class": "f",
    "Name.Builtin": "b",
    "Name.Decorator": "b",
    "Operator.Word": "k",
}
_FILE = re.compile(r"^(?:--- |\+\+\+ )")


def colour_diff(diff: str) -> tuple[DiffLine, ...]:
    """Return the lines of a unified diff with their code coloured."""
    plain = diff.replace("\r", " ")  # Pygments would end lines there
    return tuple(_lines(plain.split("\n") if plain else ()))


def _lines(lines: Iterable[str]) -> Iterator[DiffLine]:
    hunk: list[str] = []
    inside = False
    for line in lines:
        if inside and line[:1] in ("+", "-", " ", "") and not _starts_file(line, hunk):
            hunk.append(line or " ")
            continue
        yield from _coloured(hunk)
        hunk.clear()
        inside = line.startswith("@@")
        yield ("@" if inside else "f"), (("", line),)
    yield from _coloured(hunk)


def _starts_file(line: str, hunk: list[str]) -> bool:
    """Whether a line names the next file: a removed line that looks so has one after it."""
    return bool(_FILE.match(line)) and line.endswith((" (before)", " (after)")) and bool(hunk)


def _coloured(hunk: list[str]) -> Iterator[DiffLine]:
    """Colour a hunk's two sides each as one text, so that long strings keep their colour."""
    if not hunk:
        return
    sides = {
        side: iter(_tokens([line[1:] for line in hunk if line[0] in (side, " ")])) for side in "-+"
    }
    for line in hunk:
        pieces = None
        for side in "-+":
            if line[0] in (side, " "):
                pieces = next(sides[side])
        yield line[0], tuple(pieces or ())


def _tokens(lines: list[str]) -> list[list[Piece]]:
    from pygments import lex
    from pygments.lexers import PythonLexer

    text = "\n".join(lines)
    found: list[list[Piece]] = [[]]
    for token, value in lex(text, PythonLexer(stripnl=False, ensurenl=False)):
        colour = _colour(token)
        for number, part in enumerate(value.split("\n")):
            if number:
                found.append([])
            if part:
                _add(found[-1], (colour, part))
    return found


def _add(pieces: list[Piece], piece: Piece) -> None:
    if pieces and pieces[-1][0] == piece[0]:
        pieces[-1] = (piece[0], pieces[-1][1] + piece[1])
    else:
        pieces.append(piece)


def _colour(token: object) -> str:
    name = str(token).removeprefix("Token.")
    return next((colour for prefix, colour in _COLOURS.items() if name.startswith(prefix)), "")
