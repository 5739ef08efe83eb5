"""An episode as a Jupyter notebook: its story, and its best script to be run again."""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlagent_gym.errors import MLAgentError
from mlagent_gym.exporting.best import Best
from mlagent_gym.records import Record
from mlagent_gym.replay import prepared_of
from mlagent_gym.tasks import SUBMISSION, load_task
from mlagent_gym.viewing.steps import Step, read_step

__all__ = ["notebook"]

_MAX_FILE_CHARS = 200_000
_MAX_OUTPUT_CHARS = 6000

_SETUP = """\
import os, pathlib, random, sys, tempfile

# The task's public data, what the script knows as ../input.
DATA = pathlib.Path(os.environ.get("MLAGENT_DATA", {data!r})).resolve()
if not DATA.is_dir():
    raise FileNotFoundError(f"{{DATA}}: set DATA, or MLAGENT_DATA, to the task's public folder")

_root = pathlib.Path(tempfile.mkdtemp(prefix="mlagent-"))
(_root / "work").mkdir()
(_root / "input").symlink_to(DATA, target_is_directory=True)
os.chdir(_root / "work")
sys.path.insert(0, str(_root / "work"))
sys.argv = [{script!r}]
__file__ = str(_root / "work" / {script!r})
os.environ["MLAGENT_SEED"] = {seed!r}
os.environ["MPLBACKEND"] = "Agg"
print("Working in", os.getcwd())"""


def notebook(records: Sequence[Record], best: Best, *, data: Path | None = None) -> dict[str, Any]:
    """Return an episode as a notebook of format 4.5.

    Run from top to bottom it runs the best script, cell by cell, on the task's public data
    in a folder of its own, where the script leaves its submission. It needs what the
    script imports and nothing else; beware that it runs without a sandbox.

    Parameters
    ----------
    records
        The steps of the episode.
    best
        Its best script.
    data
        The task's public data; None: those prepared on this machine, if they are there.
    """
    import nbformat

    v4: Any = nbformat.v4  # it has no types
    step = best.record or records[0]
    cells = [
        v4.new_markdown_cell(_title(records, best)),
        *(v4.new_markdown_cell(_story(read_step(_decoded(record)))) for record in records),
        v4.new_markdown_cell(_before_running(best)),
        v4.new_code_cell(
            _SETUP.format(
                data=str(data or _public(step) or "input"),
                script=best.script,
                seed=str(step.state.seed),
            )
        ),
    ]
    cells += [v4.new_code_cell(text) for text in _writing(best)]
    parts = [v4.new_code_cell(text) for text in split(best.text)]
    if parts and best.record is not None:
        answer = read_step(_decoded(best.record)).output.partition("Output:\n")[2]
        output = answer.rpartition("\n\n")[0]  # behind it stands what the grader said
        parts[-1].outputs = [v4.new_output("stream", name="stdout", text=output + "\n")]
    cells += parts
    cells.append(
        v4.new_code_cell(
            f'print(open("{SUBMISSION}").read(300))\nprint(os.path.abspath("{SUBMISSION}"))'
        )
    )
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # the same recording, the same notebook
    book: dict[str, Any] = v4.new_notebook(cells=cells, metadata=_metadata(step, best))
    nbformat.validate(book)
    return book


def split(script: str) -> list[str]:
    """Split a script into cells at blank lines between its top-level statements.

    A function, a class or a compound statement is never cut; a script that is no Python
    is one cell. Cells together are the script.
    """
    lines = re.split("\r\n|\r|\n", script)  # what Python counts as lines
    try:
        statements = ast.parse(script).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [script]
    inside = {
        number
        for statement in statements
        for number in range(_first_line(statement), statement.end_lineno or statement.lineno)
    }
    cells: list[list[str]] = [[]]
    for number, line in enumerate(lines, start=1):
        blank = not line.strip() and number not in inside
        if blank and any(text.strip() for text in cells[-1]):
            cells.append([])
        elif not blank:
            cells[-1].append(line)
    return [cell for cell in ("\n".join(cell).strip("\n") for cell in cells) if cell.strip()]


def _first_line(statement: ast.stmt) -> int:
    decorators = getattr(statement, "decorator_list", ())
    first: int = min([statement.lineno, *(each.lineno for each in decorators)])
    return first


def _title(records: Sequence[Record], best: Best) -> str:
    state, info = records[0].state, records[-1].info
    try:
        title = load_task(state.task).title
    except MLAgentError:
        title = state.task
    rows = [
        ("task", state.task),
        ("data", f"{state.variant}, {state.fingerprint}"),
        ("best score", _number(best.score)),
        ("starter", _number(info.get("initial_score"))),
        ("reference", _number(info.get("reference_score"))),
        ("steps", len(records)),
        ("episode", records[0].episode),
    ]
    table = "\n".join(f"| {key} | {_escaped(str(value))} |" for key, value in rows)
    return f"# {_escaped(title)}\n\n| | |\n|---|---|\n{table}"


def _story(step: Step) -> str:
    outcome = f" — {_escaped(step.outcome.replace('_', ' '))}" if step.outcome else ""
    parts = [f"## Step {step.number}: {_escaped(step.action)}{outcome}"]
    if step.thought:
        parts.append("\n".join(f"> {_escaped(line)}" for line in step.thought.splitlines()))
    if step.diff:
        lines = ((kind if kind in "+- " else "") + _plain(pieces) for kind, pieces in step.diff)
        parts.append(_fenced("\n".join(lines), "diff"))
    if step.output:
        parts.append(_fenced(step.output[-_MAX_OUTPUT_CHARS:], "text"))
    if step.reward is not None:
        score = f"score {_number(step.score)}, " if step.scored else ""
        parts.append(f"{score}reward {_number(step.reward)}: {_escaped(step.explained)}")
    return "\n\n".join(parts)


def _before_running(best: Best) -> str:
    what = "The best script" if best.record else "The starter (no step scored)"
    return (
        f"# {what}: {_escaped(best.script)}\n\nThe cells below run it from top to bottom in a new "
        "folder. An agent wrote it, and here it runs without a sandbox: read it first."
    )


def _writing(best: Best) -> Iterator[str]:
    """Yield cells that write the other files the script may import or read."""
    for path, content in sorted(best.others.items()):
        try:
            text = content.decode()
        except UnicodeDecodeError:
            continue
        if path != SUBMISSION and len(text) <= _MAX_FILE_CHARS:
            yield (
                f"_file = pathlib.Path({path!r})\n"
                "_file.parent.mkdir(parents=True, exist_ok=True)\n"
                f"_ = _file.write_text({text!r})"
            )


def _metadata(step: Record, best: Best) -> dict[str, Any]:
    state = step.state
    return {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
        "mlagent": {
            "task": state.task,
            "variant": state.variant,
            "fingerprint": state.fingerprint,
            "episode": step.episode,
            "seed": state.seed,
            "script": best.script,
            "score": best.score,
        },
    }


def _public(record: Record) -> Path | None:
    try:
        return prepared_of(record).public
    except MLAgentError:
        return None


def _decoded(record: Record) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(record.to_json())
    return values


def _plain(pieces: Sequence[tuple[str, str]]) -> str:
    return "".join(text for _, text in pieces)


def _fenced(text: str, language: str) -> str:
    """Return a code block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _escaped(text: str) -> str:
    """Return a text that Markdown shows as it is: no markup, links or images of its own."""
    plain = html.escape(text.replace("\n", " "), quote=False)
    return re.sub(r"([\\`*_\[\]()#!|~$<>:])", r"\\\1", plain) if plain else ""


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else "none"
