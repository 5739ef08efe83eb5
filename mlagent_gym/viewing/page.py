"""The page: one HTML file with its data, styles and program in it, and nothing from elsewhere.

What agents and scripts wrote reaches the page as JSON in a data block and from there as
text nodes only. A content security policy allows the page's own program and styles by
their digests, and no other, so that markup that got through could still do nothing.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
import os
import string
from pathlib import Path
from typing import Any

from mlagent_gym import grading
from mlagent_gym.errors import MLAgentError, RecordError, UsageError
from mlagent_gym.tasks import load_task
from mlagent_gym.viewing.folders import Collection, collect
from mlagent_gym.viewing.steps import Step

__all__ = ["MAX_STEPS", "view_page", "write_page"]

MAX_STEPS = 3000
"""Steps that a page holds unless asked for more: some 10 MB."""

_ASSETS = Path(__file__).parent / "assets"
_PROGRAM = ("dom.js", "curve.js", "tree.js", "step.js", "page.js")


def write_page(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
    max_steps: int = MAX_STEPS,
) -> Path:
    """Write a page that shows the recordings of a file or a folder.

    Parameters
    ----------
    source
        A recording, or the folder of a training run or a benchmark.
    output
        The page. None: ``<recording>.html`` beside a recording, ``view.html`` in a folder.
    title
        What the page is called; None: by its source.
    max_steps
        Recordings beyond so many steps are named but not shown.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    RecordError
        There is nothing to show, or the page cannot be written.
    UsageError
        There is no such file or folder.
    """
    given = Path(source)
    text = view_page(given, title=title, max_steps=max_steps)
    default = given / "view.html" if given.is_dir() else given.with_suffix(".html")
    page = default if output is None else Path(output)
    temporary = page.with_name(f".{page.name}.{os.getpid()}.tmp")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(page)
    except OSError as error:
        raise RecordError(
            f"{page} cannot be written: {error.strerror}. Choose another with --output."
        ) from error
    return page


def view_page(source: Path, *, title: str | None = None, max_steps: int = MAX_STEPS) -> str:
    """Return the page of `write_page` as a text."""
    if not source.exists():
        raise UsageError(
            f"There is no {source}. Give a recording, or the folder of a run or a benchmark."
        )
    found = collect(source, max_steps=max_steps)
    name = (title or source.resolve().name).encode("utf-8", "replace").decode()
    style, program = _style(), _program()
    template = string.Template((_ASSETS / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(name),
        style=style,
        style_digest=_digest(style),
        program=program,
        program_digest=_digest(program),
        data=_embedded({"title": name, **_data(found)}),
    )


def _data(found: Collection) -> dict[str, Any]:
    tasks = sorted({step.task for episode in found.episodes for step in episode.steps})
    passages: dict[str, int] = {}
    episodes = [
        {
            "name": episode.name,
            "group": episode.group,
            "path": episode.path,
            "sequence": episode.sequence,
            "steps": [_data_of(step, passages) for step in episode.steps],
        }
        for episode in found.episodes
    ]
    return {
        "tasks": {task: _facts_of(task) for task in tasks},
        "episodes": episodes,
        "passages": list(passages),
        "left_out": [path.relative_to(found.source).as_posix() for path in sorted(found.left_out)],
        "problems": found.problems[:100],
    }


def _data_of(step: Step, passages: dict[str, int]) -> dict[str, Any]:
    """Return a step with its prompt as numbers of passages: most are those of other steps."""
    data = step.to_dict()
    if step.prompt:
        data["prompt"] = [
            (role, [passages.setdefault(part, len(passages)) for part in text.split("\n\n")])
            for role, text in step.prompt
        ]
    return data


def _facts_of(task_id: str) -> dict[str, Any]:
    """Return what is known of a task; nothing of one that is not installed here."""
    try:
        task = load_task(task_id)
        metric = grading.metric_of(task)
    except MLAgentError:
        return {}
    return {
        "title": task.title,
        "metric": task.metric,
        "higher_is_better": metric.higher_is_better,
    }


def _embedded(data: object) -> str:
    """Return data as JSON that cannot end the block it stands in, nor open another."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@functools.cache
def _style() -> str:
    return "\n" + (_ASSETS / "page.css").read_text(encoding="utf-8")


@functools.cache
def _program() -> str:
    parts = [(_ASSETS / name).read_text(encoding="utf-8") for name in _PROGRAM]
    return '\n"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
