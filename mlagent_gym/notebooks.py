"""Notebooks in a workspace: shown and edited as text with cells, run as one process.

The text is the percent format (``# %%`` begins a cell, ``# %% [markdown]`` one of prose,
as comments), which is Python as well. A notebook is bytes of an agent: nothing about it is
trusted, and what is wrong with it is feedback.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlagent_gym.errors import WorkspaceError

__all__ = [
    "SUFFIX",
    "Program",
    "from_text",
    "is_notebook",
    "program",
    "readable",
    "to_text",
    "with_code",
    "with_outputs",
]

SUFFIX = ".ipynb"

_MAX_CELLS = 1000
_MARK = re.compile(r"^# %%[ \t]*(?:\[(markdown|raw)\])?.*$", re.MULTILINE)
_MAGIC = re.compile(r"^([ \t]*)([%!?].*)$", re.MULTILINE)
_MISSING = object()

_PROGRAM = """\
import linecache, sys, traceback
def _run_cells(cells, token, names):
    for number, source in cells:
        print(f"{{token}} {{number}}", flush=True)
        name = f"<cell {{number}}>"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        try:
            exec(compile(source, name, "exec"), names)
        except Exception as error:
            traceback.print_exception(type(error), error, error.__traceback__.tb_next)
            sys.exit(1)
_run_cells({cells!r}, {token!r}, globals())
"""


@dataclass(frozen=True)
class Program:
    """A notebook's code as a script that says which cell is running."""

    script: str
    """Path to write it to while it runs."""
    text: str
    token: str
    """Begins the line that is printed before each cell."""


def is_notebook(path: str) -> bool:
    """Whether a path names a notebook."""
    return path.endswith(SUFFIX)


def to_text(content: bytes) -> str:
    """Return a notebook's cells as text; raises `WorkspaceError` if it is none."""
    parts = []
    for cell in _read(content)["cells"]:
        kind, source = cell["cell_type"], cell["source"]
        if kind == "code":
            parts.append(f"# %%\n{source}")
        else:
            lines = (f"# {line}".rstrip() for line in source.split("\n"))
            parts.append(f"# %% [{kind}]\n" + "\n".join(lines))
    return "\n\n".join(part.rstrip("\n") for part in parts) + ("\n" if parts else "")


def from_text(text: str, before: bytes | None) -> bytes:
    """Return the notebook that a text with cells, or a notebook's own JSON, describes.

    Parameters
    ----------
    text
        What `to_text` gives, edited.
    before
        The notebook it replaces: cells that stay as they were keep their outputs.

    Raises
    ------
    WorkspaceError
        It is JSON but no notebook, or has too many cells.
    """
    if text.lstrip().startswith("{"):
        return _written(_read(text.encode()))
    book = _empty() if before is None else _read(before)
    kept = list(book["cells"])
    marks = list(_MARK.finditer(text))
    ends = [*(mark.start() for mark in marks), len(text)]
    pieces = [("code", text[: ends[0]])]  # before the first mark
    pieces += [
        (mark.group(1) or "code", text[mark.end() : end])
        for mark, end in zip(marks, ends[1:], strict=True)
    ]
    cells = []
    for kind, piece in pieces:
        source = piece.strip("\n")
        if kind != "code":
            source = "\n".join(re.sub(r"^# ?", "", line) for line in source.split("\n"))
        if source.strip():
            cells.append(_like(kept, kind, source))
    return _written({**book, "cells": cells})


def program(path: str, content: bytes) -> Program:
    """Return the script that runs a notebook's code cells in order, in one process."""
    cells = [
        (number, _runnable(cell["source"]))
        for number, cell in enumerate(_read(content)["cells"], start=1)
        if cell["cell_type"] == "code" and cell["source"].strip()
    ]
    digest = hashlib.sha256(path.encode() + b"\0" + content).hexdigest()
    token = f"<cell:{digest[:16]}>"
    return Program(f"cells_{digest[:16]}.py", _PROGRAM.format(cells=cells, token=token), token)


def readable(output: str, token: str) -> str:
    """Return a run's output with the lines that say which cell is running made readable."""
    return re.sub(rf"^{_beginning(token)}$", r"[cell \1]", output, flags=re.MULTILINE)


def with_outputs(content: bytes, output: str, token: str) -> bytes:
    """Return the notebook with what each cell printed beside it."""
    book = _read(content)
    pieces = re.split(rf"^{_beginning(token)}\n", output, flags=re.MULTILINE)
    printed = {int(number): text for number, text in zip(pieces[1::2], pieces[2::2], strict=True)}
    count = 0
    for number, cell in enumerate(book["cells"], start=1):
        if cell["cell_type"] != "code":
            continue
        text = printed.get(number, _MISSING)
        count += text is not _MISSING
        cell["execution_count"] = count if text is not _MISSING else None
        lines = [{"output_type": "stream", "name": "stdout", "text": text}]
        cell["outputs"] = lines if isinstance(text, str) and text else []
    return _written(book)


def with_code(content: bytes, change: Callable[[str], str]) -> bytes:
    """Return the notebook with the source of each code cell changed."""
    book = _read(content)
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            cell["source"] = change(cell["source"])
    return _written(book)


def _beginning(token: str) -> str:
    """Return a pattern of the line before a cell's output; a cell may print such lines too."""
    return rf"{re.escape(token)} ([0-9]{{1,4}})"


def _read(content: bytes) -> dict[str, Any]:
    """Return a notebook whose cells have known types and one text each."""
    try:
        book = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise WorkspaceError(f"the notebook is not JSON: {str(error)[:200]}.") from None
    cells = book.get("cells") if isinstance(book, dict) else None
    if not isinstance(cells, list) or book.get("nbformat") != 4:
        raise WorkspaceError("the notebook is not one of format 4, a JSON object with cells.")
    if len(cells) > _MAX_CELLS:
        raise WorkspaceError(f"the notebook has {len(cells)} cells; {_MAX_CELLS} are most.")
    metadata = book.get("metadata")
    return {
        "cells": [_cell(number, cell) for number, cell in enumerate(cells, start=1)],
        "metadata": metadata if isinstance(metadata, dict) else {},
    }


def _cell(number: int, cell: object) -> dict[str, Any]:
    kind = cell.get("cell_type") if isinstance(cell, dict) else None
    source = cell.get("source") if isinstance(cell, dict) else None
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if kind not in ("code", "markdown", "raw") or not isinstance(source, str):
        raise WorkspaceError(f"cell {number} of the notebook has no source, or an unknown type.")
    return _new(kind, source.replace("\r\n", "\n").encode("utf-8", "replace").decode())


def _new(kind: str, source: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": source}
    return {**cell, "execution_count": None, "outputs": []} if kind == "code" else cell


def _like(kept: list[dict[str, Any]], kind: str, source: str) -> dict[str, Any]:
    """Return the first of the cells that says the same, which is taken out, or a new one."""
    for cell in kept:
        if (cell["cell_type"], cell["source"].strip("\n")) == (kind, source):
            kept.remove(cell)
            return cell
    return _new(kind, source)


def _empty() -> dict[str, Any]:
    return {"cells": [], "metadata": {}}


def _written(book: Mapping[str, Any]) -> bytes:
    if len(book["cells"]) > _MAX_CELLS:
        raise WorkspaceError(f"that is {len(book['cells'])} cells; {_MAX_CELLS} are most.")
    cells = [{"id": f"cell-{number}", **cell} for number, cell in enumerate(book["cells"], start=1)]
    whole = {"cells": cells, "metadata": book["metadata"], "nbformat": 4, "nbformat_minor": 5}
    try:
        return (json.dumps(whole, indent=1) + "\n").encode()
    except RecursionError:
        raise WorkspaceError("the notebook is nested too deep.") from None


def _runnable(source: str) -> str:
    """Return a cell's code; lines for the notebook program itself (%, !) are left out."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _MAGIC.sub(r"\1pass  # left out: \2", source)
    return source
