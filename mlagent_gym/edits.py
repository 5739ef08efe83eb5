"""Search-and-replace on a script's text, and the diff the agent reads.

The texts are an agent's: what is done with them has a bound however they were made.
"""

from __future__ import annotations

import difflib
import heapq
import re
from collections.abc import Iterable

from mlagent_gym.errors import WorkspaceError

__all__ = ["apply_edits", "changed_lines", "unified_diff"]

_MAX_PLACES = 10
_MAX_COMPARISONS = 2 * 10**7
_MAX_DIFF_CHARS = 2**18
_CONTEXT = 3
_MAX_NEAR_LINES = 5000
_MAX_NEAR_CHARS = 120
_TOO_LONG = "(the change is too long to show)"


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
    """Return the change of a file as a unified diff with three lines of context.

    A change that spans too much to compare is only said to be one.
    """
    if before == after:
        return ""
    old, new = before.splitlines(), after.splitlines()
    names, skipped = (f"{name} (before)", f"{name} (after)"), 0
    if not _is_short(old, new):
        old, new, skipped = _middle(old, new, _CONTEXT)
        if not _is_short(old, new):
            return "\n".join((f"--- {names[0]}", f"+++ {names[1]}", _TOO_LONG))
    lines = difflib.unified_diff(old, new, *names, n=_CONTEXT, lineterm="")
    return "\n".join(_moved(line, skipped) for line in lines)


def changed_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    """Return the lines removed and the lines added, stripped, without blank ones.

    Of a change that spans too much to compare, these are all lines it spans.
    """
    old, new = before.splitlines(), after.splitlines()
    if not _is_short(old, new):
        old, new, _ = _middle(old, new, 0)
        if not _is_short(old, new):
            return _not_blank(old), _not_blank(new)
    lines = list(difflib.unified_diff(old, new, n=0, lineterm=""))[2:]
    return (
        _not_blank(line[1:] for line in lines if line[0] == "-"),
        _not_blank(line[1:] for line in lines if line[0] == "+"),
    )


def _is_short(old: list[str], new: list[str]) -> bool:
    """Whether two texts are compared soon enough, whatever they say.

    In the worst case difflib finds one line a pass, and a pass compares every old line
    with all new ones that are the same: up to 1 % of 200 lines or more, else all.
    """
    alike = len(new) if len(new) < 200 else len(new) // 100 + 1
    comparisons = len(old) * alike * min(len(old), len(new))
    chars = max(sum(map(len, lines)) for lines in (old, new))
    return comparisons <= _MAX_COMPARISONS and chars <= _MAX_DIFF_CHARS


def _middle(old: list[str], new: list[str], context: int) -> tuple[list[str], list[str], int]:
    """Return both sides without most of what they begin and end with alike.

    The number is how many lines were left out at the beginning.
    """
    head = max(_alike(old, new) - context, 0)
    old, new = old[head:], new[head:]
    tail = max(_alike(old[::-1], new[::-1]) - context, 0)
    return old[: len(old) - tail], new[: len(new) - tail], head


def _alike(old: list[str], new: list[str]) -> int:
    """Return how many lines both begin with."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(old), len(new)))


def _moved(line: str, by: int) -> str:
    """Count up the line numbers of a hunk's header."""
    if not by or not line.startswith("@@"):
        return line
    return re.sub(r"([-+])(\d+)", lambda start: f"{start[1]}{int(start[2]) + by}", line)


def _not_blank(lines: Iterable[str]) -> list[str]:
    return [line.strip() for line in lines if line.strip()]


def _line_numbers(source: str, search: str) -> list[int]:
    """Return the lines the first places are on, one more than are shown."""
    places: list[int] = []
    line, counted, at = 1, 0, source.find(search)
    while at >= 0 and len(places) <= _MAX_PLACES:
        line, counted = line + source.count("\n", counted, at), at
        places.append(line)
        at = source.find(search, at + 1)
    return places


def _ambiguous(places: list[int]) -> str:
    shown = ", ".join(map(str, places[:_MAX_PLACES]))
    many = len(places) > _MAX_PLACES
    times = f"more than {_MAX_PLACES}" if many else f"{len(places)}"
    return (
        f"Its search text occurs {times} times (from lines {shown}{', ...' if many else ''}); "
        "add neighbouring lines so that it occurs once."
    )


def _missing(source: str, search: str) -> str:
    near = _nearest(next((line for line in search.splitlines() if line.strip()), ""), source)
    hint = f" The nearest line is: {near.strip()!r}." if near else ""
    return f"Its search text does not occur in the script.{hint}"


def _nearest(text: str, source: str) -> str:
    """Return a line that is like a text, sought among the first lines of a source."""
    lines = [line[:_MAX_NEAR_CHARS] for line in source.splitlines()[:_MAX_NEAR_LINES]]
    matcher = difflib.SequenceMatcher(b=text[:_MAX_NEAR_CHARS])

    def at_most(line: str) -> float:
        matcher.set_seq1(line)
        return matcher.quick_ratio()

    likely = heapq.nlargest(10, dict.fromkeys(filter(str.strip, lines)), key=at_most)
    near = difflib.get_close_matches(text[:_MAX_NEAR_CHARS], likely, n=1, cutoff=0.5)
    return near[0] if near else ""
