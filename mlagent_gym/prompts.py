"""The prompt: what the policy reads before each step, rendered from template files."""

from __future__ import annotations

import functools
import random
import re
import string
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlagent_gym.errors import ConfigError

__all__ = ["PRESETS", "Template", "View", "load_template", "render_messages", "render_text"]

Message = dict[str, str]
Count = Callable[[str], int]

_FOLDER = Path(__file__).parent / "templates"
_KNOB = re.compile(
    r"^(?P<search>(?P<name>[A-Z][A-Z0-9_]*) *(?::[^=\n]+)?= *)(?P<value>\S.*)$", re.MULTILINE
)
_LAST_FEEDBACK_CHARS = 300

PRESETS: tuple[str, ...] = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))
"""Names of the templates that come with the package."""


@dataclass(frozen=True)
class Template:
    """A prompt template, read from a TOML file."""

    style: Literal["dialogue", "summary"]
    """``dialogue``: replies and feedback as chat turns; ``summary``: one line a step."""
    budget: int
    """Most units (characters unless a counter is given) of a prompt."""
    opening: str
    closing: str
    left_out: str
    history: str = ""
    knob: str = "$search$value"
    """How a constant of the script is listed: its ``$number``, ``$name`` and ``$value``, and
    ``$search``, the text of its line before the value."""
    shuffle_knobs: bool = False
    """List the constants in an order that script and history draw, so that no constant is
    known by its place or number."""


@dataclass(frozen=True)
class View:
    """What a prompt may show of an episode."""

    title: str
    description: str
    metric: str
    higher_is_better: bool
    actions: str
    """One line for each action that is offered."""
    form: str
    """The form of a reply."""
    script: str
    """Text of the main script as it is now."""
    history: Sequence[tuple[str, str, str]]
    """(reply, feedback, one-line summary) of each step so far."""
    max_steps: int
    max_seconds: float


@functools.cache
def load_template(name: str) -> Template:
    """Return a template by preset name, or from the path of a TOML file.

    Raises
    ------
    ConfigError
        There is no such template, or the file is not one.
    """
    from pydantic import TypeAdapter, ValidationError

    path = _FOLDER / f"{name}.toml" if name in PRESETS else Path(name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return TypeAdapter(Template).validate_python(table)
    except OSError:
        raise ConfigError(
            f"There is no prompt {name!r}; known: {', '.join(PRESETS)}, or the path of a template."
        ) from None
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigError(
            f"{path} is not a prompt template: {error}. See mlagent_gym/templates for examples."
        ) from error


def render_messages(
    template: Template, view: View, *, budget: int | None = None, count: Count = len
) -> list[Message]:
    """Render the prompt as chat messages, the last of which is the user's.

    The oldest steps are left out until the prompt fits its budget; if the opening alone
    does not fit, its middle is cut.

    Parameters
    ----------
    template, view
        How to show, and what.
    budget
        Most units of the contents as one text; None: the template's.
    count
        Units of a text: characters by default, tokens with a tokenizer's length.
    """
    limit = template.budget if budget is None else budget
    shown = len(view.history)
    while True:
        messages = _compose(template, view, shown)
        if count(render_text(messages)) <= limit:
            return messages
        if shown == 0:
            return _cut(messages, limit, count)
        shown -= 1


def render_text(messages: Sequence[Message]) -> str:
    """Join chat messages to one text, for policies that do not chat."""
    return "\n\n".join(message["content"] for message in messages)


def _compose(template: Template, view: View, shown: int) -> list[Message]:
    left_out = len(view.history) - shown
    note = _fill(template.left_out, count=left_out) if left_out else ""
    recent = view.history[left_out:]
    closing = _fill(template.closing, **_facts(template, view))
    if template.style == "summary":
        return [_user(_summary(template, view, recent, note, closing))]
    messages = [_user(_fill(template.opening, **_facts(template, view)).strip())]
    for number, (reply, feedback, _) in enumerate(recent):
        if number == 0 and note:
            messages[0] = _user(f"{messages[0]['content']}\n\n{note}")
        messages += [{"role": "assistant", "content": reply}, _user(feedback)]
    messages[-1] = _user(f"{messages[-1]['content']}\n\n{closing}")
    return messages


def _summary(
    template: Template,
    view: View,
    recent: Sequence[tuple[str, str, str]],
    note: str,
    closing: str,
) -> str:
    parts = [_fill(template.opening, **_facts(template, view)).strip()]
    if recent:
        first = len(view.history) - len(recent) + 1
        lines = [f"{first + i}. {summary}" for i, (_, _, summary) in enumerate(recent)]
        feedback = view.history[-1][1].strip()
        parts.append(
            _fill(
                template.history,
                summaries="\n".join([note, *lines] if note else lines),
                feedback=feedback[-_LAST_FEEDBACK_CHARS:],
            ).strip()
        )
    elif note:
        parts.append(note)
    return "\n".join([*parts, closing])


def _facts(template: Template, view: View) -> dict[str, object]:
    return {
        "title": view.title,
        "description": view.description.strip(),
        "metric": view.metric,
        "direction": "higher is better" if view.higher_is_better else "lower is better",
        "actions": view.actions,
        "form": view.form,
        "script": view.script.strip(),
        "knobs": _knobs(template, view) or "(none)",
        "step": len(view.history) + 1,
        "max_steps": view.max_steps,
        "max_minutes": round(view.max_seconds / 60),
    }


def _knobs(template: Template, view: View) -> str:
    """List the constants of the script."""
    knobs = list(_KNOB.finditer(view.script))
    if template.shuffle_knobs:
        told = [view.script, *(summary for *_, summary in view.history)]
        random.Random(repr(told)).shuffle(knobs)
    lines = (_fill(template.knob, number=i, **knob.groupdict()) for i, knob in enumerate(knobs, 1))
    return "\n".join(lines)


def _fill(template: str, **values: object) -> str:
    return string.Template(template).safe_substitute({k: str(v) for k, v in values.items()})


def _user(content: str) -> Message:
    return {"role": "user", "content": content}


def _cut(messages: list[Message], limit: int, count: Count) -> list[Message]:
    """Cut the middle of the only message so that it fits."""
    content = messages[0]["content"]
    low, high = 0, len(content)
    while low < high:
        kept = (low + high + 1) // 2
        low, high = (kept, high) if count(_middle_cut(content, kept)) <= limit else (low, kept - 1)
    return [_user(_middle_cut(content, low))]


def _middle_cut(text: str, kept: int) -> str:
    if kept >= len(text):
        return text
    head = kept // 2
    return f"{text[:head]}\n[...]\n{text[len(text) - (kept - head) :]}" if kept else ""
