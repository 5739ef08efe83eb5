"""What the agent may do, and how its free text becomes one of these actions.

The reply format is MLAgentBench's: six fields, the last two being ``Action`` and a
JSON ``Action Input``. `parse` never raises: text that names no action is an
`InvalidAction` whose feedback teaches the right form.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

__all__ = [
    "ACTIONS",
    "NEED_EDITOR",
    "Action",
    "CopyFile",
    "EditScript",
    "EditScriptAI",
    "ExecuteScript",
    "FinalAnswer",
    "InspectScriptLines",
    "InvalidAction",
    "ListFiles",
    "Replacement",
    "UnderstandFile",
    "UndoEditScript",
    "parse",
    "render",
    "skeleton",
    "usage",
]

MAX_REPLY_CHARS = 1_000_000
"""Longer replies are refused unread."""

_FIELDS = ("Reflection", "Research Plan and Status", "Fact Check", "Thought")
_ACTION_LINE = re.compile(r"^[ \t>#*`]*action[ \t*`]*:(.*)$", re.IGNORECASE | re.MULTILINE)
_INPUT_LINE = re.compile(r"^[ \t>#*`]*action input[ \t*`]*:", re.IGNORECASE | re.MULTILINE)
_DECODER = json.JSONDecoder(strict=False)  # models put raw line breaks into strings


@dataclass(frozen=True)
class Replacement:
    """One search-and-replace of an edit."""

    search: str
    replace: str


@dataclass(frozen=True)
class ListFiles:
    """List a folder."""

    name: ClassVar[str] = "List Files"
    usage: ClassVar[str] = 'folder to list, "." for your workspace, "../input" for the data'
    dir_path: str = "."


@dataclass(frozen=True)
class InspectScriptLines:
    """Read a part of a text file."""

    name: ClassVar[str] = "Inspect Script Lines"
    usage: ClassVar[str] = "show lines of a file, counted from 1, at most 100 at a time"
    script_name: str
    start_line_number: int = 1
    end_line_number: int = 100


@dataclass(frozen=True)
class ExecuteScript:
    """Run a script."""

    name: ClassVar[str] = "Execute Script"
    usage: ClassVar[str] = "run a script as it is and grade the submission.csv it writes"
    script_name: str


@dataclass(frozen=True)
class EditScript:
    """Change a script, or write it anew, and run it straight away."""

    name: ClassVar[str] = "Edit Script"
    usage: ClassVar[str] = (
        "edit a script, run it and grade its submission.csv; each search text must occur exactly "
        'once in the script; instead of "edits" you may give the whole new text as "content"'
    )
    script_name: str
    edits: tuple[Replacement, ...] = ()
    content: str | None = None
    save_name: str | None = None
    """Where the result goes; None: over the script."""

    @property
    def target(self) -> str:
        """Path the edited script is written to."""
        return self.script_name if self.save_name is None else self.save_name


@dataclass(frozen=True)
class EditScriptAI:
    """Have the editor model change a script as described in words, and run it straight away."""

    name: ClassVar[str] = "Edit Script (AI)"
    usage: ClassVar[str] = (
        "have another model edit a script as you describe, run it and grade its submission.csv; "
        "a script that does not exist is written anew"
    )
    script_name: str
    edit_instruction: str
    save_name: str | None = None
    """Where the result goes; None: over the script."""

    @property
    def target(self) -> str:
        """Path the edited script is written to."""
        return self.script_name if self.save_name is None else self.save_name


@dataclass(frozen=True)
class UnderstandFile:
    """Have the editor model answer a question about a file."""

    name: ClassVar[str] = "Understand File"
    usage: ClassVar[str] = "have another model read a file and tell what it says about something"
    file_name: str
    things_to_look_for: str


@dataclass(frozen=True)
class UndoEditScript:
    """Take back the last edit of a script."""

    name: ClassVar[str] = "Undo Edit Script"
    usage: ClassVar[str] = "take back the last edit of a script"
    script_name: str


@dataclass(frozen=True)
class CopyFile:
    """Copy a file within the workspace."""

    name: ClassVar[str] = "Copy File"
    usage: ClassVar[str] = "copy a file of your workspace"
    source: str
    destination: str


@dataclass(frozen=True)
class FinalAnswer:
    """End the episode."""

    name: ClassVar[str] = "Final Answer"
    usage: ClassVar[str] = "end the task; the best score so far counts"
    final_answer: str = ""


@dataclass(frozen=True)
class InvalidAction:
    """Text that is no action."""

    name: ClassVar[str] = "Invalid"
    reason: str
    """What is wrong, in one sentence."""
    meant: str | None = None
    """Name of the action the text seems to mean, if any."""
    editor: bool = True
    """Whether the actions that need an editor are offered."""

    @property
    def feedback(self) -> str:
        """What the agent reads: the reason and the form that is expected."""
        form = skeleton(self.meant, editor=self.editor)
        return f"Invalid action: {self.reason}\nExpected form:\n{form}"


ValidAction: TypeAlias = (
    ListFiles
    | InspectScriptLines
    | ExecuteScript
    | EditScript
    | EditScriptAI
    | UnderstandFile
    | UndoEditScript
    | CopyFile
    | FinalAnswer
)
Action: TypeAlias = ValidAction | InvalidAction

ACTIONS: Mapping[str, type[ValidAction]] = MappingProxyType(
    {
        cls.name: cls
        for cls in (
            ListFiles,
            InspectScriptLines,
            UnderstandFile,
            EditScript,
            EditScriptAI,
            ExecuteScript,
            UndoEditScript,
            CopyFile,
            FinalAnswer,
        )
    }
)
"""The actions by the name the agent writes."""

NEED_EDITOR = frozenset({EditScriptAI.name, UnderstandFile.name})
"""Actions that are offered only where an editor is configured."""

_EXAMPLE_VALUES: Mapping[str, object] = MappingProxyType(
    {
        "dir_path": ".",
        "script_name": "train.py",
        "save_name": "train.py",
        "start_line_number": 1,
        "end_line_number": 50,
        "edits": [{"search": "exact old text", "replace": "new text"}],
        "source": "train.py",
        "destination": "train_backup.py",
        "edit_instruction": "what to change, in words",
        "file_name": "../input/description.txt",
        "things_to_look_for": "what you want to know",
        "final_answer": "what was done and found",
    }
)


def parse(text: str, *, editor: bool = True) -> Action:
    """Read the action in a reply.

    The first ``Action`` that is followed by an ``Action Input`` counts; whatever comes
    after its JSON object is ignored, as are code fences and prose around the fields.

    Parameters
    ----------
    text
        Anything a policy wrote.
    editor
        Whether the actions that need an editor are offered.

    Returns
    -------
    Action
        An `InvalidAction` if the text names none. Never raises; takes linear time.
    """
    action = _parse(text, editor)
    return replace(action, editor=editor) if isinstance(action, InvalidAction) else action


def render(name: str, action_input: Mapping[str, Any], **prose: str) -> str:
    """Write a reply in the expected form.

    Parameters
    ----------
    name
        Name of an action in `ACTIONS`.
    action_input
        Its JSON input.
    **prose
        Texts of the four prose fields by their name in lower case with underscores
        (``thought="..."``); fields not given are left out.
    """
    known = {field.lower().replace(" ", "_"): field for field in _FIELDS}
    if unknown := set(prose) - set(known):
        raise TypeError(f"no field of a reply is called {sorted(unknown)}; known: {sorted(known)}")
    lines = [f"{known[key]}: {prose[key]}" for key in known if key in prose]
    lines += [f"Action: {name}", f"Action Input: {json.dumps(action_input, ensure_ascii=False)}"]
    return "\n".join(lines)


def skeleton(name: str | None = None, *, editor: bool = True) -> str:
    """Return the empty form of a reply, for one action or for any that is offered."""
    cls = ACTIONS.get(name or "")
    example = _example(cls) if cls else "{the action's input as one JSON object}"
    names = cls.name if cls else "one of " + ", ".join(_offered(editor))
    prose = "\n".join(f"{field}: ..." for field in _FIELDS)
    return f"{prose}\nAction: {names}\nAction Input: {example}"


def _example(cls: type[ValidAction]) -> str:
    return json.dumps({f.name: _EXAMPLE_VALUES[f.name] for f in fields(cls) if f.name != "content"})


def usage(*, editor: bool = True) -> str:
    """Return one line for each action that is offered: what it does and its input."""
    classes = (ACTIONS[name] for name in _offered(editor))
    return "\n".join(f"- {cls.name}: {cls.usage}. Input: {_example(cls)}" for cls in classes)


def _offered(editor: bool) -> list[str]:
    return [name for name in ACTIONS if editor or name not in NEED_EDITOR]


def _parse(text: str, editor: bool) -> Action:
    if len(text) > MAX_REPLY_CHARS:
        return InvalidAction(f"the reply is longer than {MAX_REPLY_CHARS} characters.")
    input_line = _INPUT_LINE.search(text)
    names = list(_ACTION_LINE.finditer(text, 0, input_line.start() if input_line else len(text)))
    if not names:
        return InvalidAction('there is no line that starts with "Action:".')
    written = names[-1 if input_line else 0].group(1).strip().strip("`*[]\"'. \t")
    cls = _by_name(written, editor)
    if cls is None:
        return InvalidAction(_unknown_name(written, editor))
    if input_line is None:
        return InvalidAction('there is no line that starts with "Action Input:".', cls.name)
    found = _first_object(text, input_line.end())
    if isinstance(found, str):
        return InvalidAction(found, cls.name)
    return _build(cls, found)


def _by_name(written: str, editor: bool) -> type[ValidAction] | None:
    wanted = " ".join(written.lower().replace("_", " ").split())
    return next((ACTIONS[name] for name in _offered(editor) if name.lower() == wanted), None)


def _unknown_name(written: str, editor: bool) -> str:
    if not written:
        return 'the "Action:" line names no action.'
    shown = written if len(written) <= 60 else written[:60] + "..."
    near = difflib.get_close_matches(shown.title(), _offered(editor), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"there is no action {shown!r}.{hint}"


def _first_object(text: str, start: int) -> dict[str, Any] | str:
    """Return the first JSON object from `start` on, or what is wrong with it."""
    brace = text.find("{", start)
    if brace < 0:
        return "the action input is not a JSON object."
    try:
        value, _ = _DECODER.raw_decode(text, brace)
    except json.JSONDecodeError as error:
        line = text.count("\n", brace, error.pos) + 1
        return f"the action input is not valid JSON: {error.msg.lower()}, line {line} of it."
    except (ValueError, RecursionError):
        return "the action input is not valid JSON: a number is too long or it is nested too deep."
    if not _is_unicode(value):
        return "the action input holds half of a surrogate pair."
    return dict(value)


def _is_unicode(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _build(cls: type[ValidAction], value: dict[str, Any]) -> Action:
    from pydantic import ValidationError

    known = [f.name for f in fields(cls)]
    if unknown := [key for key in value if key not in known]:
        return InvalidAction(
            f"{cls.name} takes {_quoted(known)}, not {_quoted(unknown[:5])}.", cls.name
        )
    if missing := [f.name for f in fields(cls) if f.default is MISSING and f.name not in value]:
        return InvalidAction(f"{cls.name} needs {_quoted(missing)}.", cls.name)
    try:
        action: ValidAction = _adapters()[cls.name].validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return InvalidAction(f'"{where}": {first["msg"].lower()}.', cls.name)
    return _check_edit(action) if isinstance(action, EditScript) else action


def _check_edit(action: EditScript) -> Action:
    if (action.content is None) == (not action.edits):
        return InvalidAction('give either "edits" or "content", and not both.', action.name)
    if any(not edit.search for edit in action.edits):
        return InvalidAction('a "search" text is empty.', action.name)
    return action


@functools.cache
def _adapters() -> dict[str, Any]:
    from pydantic import TypeAdapter

    return {name: TypeAdapter(cls) for name, cls in ACTIONS.items()}


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name[:40]}"' for name in names)
