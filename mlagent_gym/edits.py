"""Search-and-replace on a script's text, and the diff the agent reads."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from mlagent_gym.errors import WorkspaceError

__all__ = ["apply_edits", "changed_lines", "unified_diff"]


def apply_edits(source: str, edits: Iterable[tuple[str, str]]) -> str:
    """Apply (search, replace) pairs in order.

    Raises
    ------
    WorkspaceError
        A search text does not occur exactly once; the message says where it occurs, or
        which line of the script comes nearest.
    """
    for number, (search, replace) in enumerate(edits, start=1):
        places = _line_numbers(source, search)
        if len(places) != 1:
            raise WorkspaceError(
                f"Edit {number} was not applied, and none was. "
                + (_ambiguous(places) if places else _missing(source, search))
            )
        source = source.replace(search, replace, 1)
    return source


def unified_diff(before: str, after: str, name: str) -> str:
    """Return the change of a file as a unified diff with three lines of context."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"{name} (before)", f"{name} (after)", lineterm=""
    )
    return "\n".join(lines)


def changed_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    """Return the lines removed and the lines added, stripped, without blank ones."""
    removed: list[str] = []
    added: list[str] = []
    for line in difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""):
        if line.startswith(("---", "+++", "@@")) or not line[1:].strip():
            continue
        (removed if line[0] == "-" else added).append(line[1:].strip())
    return removed, added


def _line_numbers(source: str, search: str) -> list[int]:
    places: list[int] = []
    at = source.find(search)
    while at >= 0:
        places.append(source.count("\n", 0, at) + 1)
        at = source.find(search, at + 1)
    return places


def _ambiguous(places: list[int]) -> str:
    shown = ", ".join(map(str, places[:10])) + (", ..." if len(places) > 10 else "")
    return (
        f"Its search text occurs {len(places)} times (from lines {shown}); "
        "add neighbouring lines so that it occurs once."
    )


def _missing(source: str, search: str) -> str:
    first = next((line for line in search.splitlines() if line.strip()), "")
    lines = [line for line in source.splitlines() if line.strip()]
    near = difflib.get_close_matches(first, lines, n=1, cutoff=0.5)
    hint = f" The nearest line is: {near[0].strip()!r}." if near else ""
    return f"Its search text does not occur in the script.{hint}"
