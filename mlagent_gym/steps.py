"""What each action does to a workspace, and what the agent reads about it."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mlagent_gym import notebooks
from mlagent_gym.actions import (
    Action,
    CopyFile,
    EditScript,
    EditScriptAI,
    ExecuteScript,
    FinalAnswer,
    InspectScriptLines,
    InvalidAction,
    ListFiles,
    UnderstandFile,
    UndoEditScript,
)
from mlagent_gym.editor import Editor
from mlagent_gym.edits import apply_edits, changed_lines, unified_diff
from mlagent_gym.endpoint import Completion
from mlagent_gym.errors import EndpointError, WorkspaceError
from mlagent_gym.executor import Executor, Limits, Run, RunStatus
from mlagent_gym.sandbox.containers import ENGINES
from mlagent_gym.sandbox.modules import can_be_imported
from mlagent_gym.tasks import MAIN_SCRIPT, SUBMISSION
from mlagent_gym.workspace import Workspace

__all__ = [
    "MAIN_SCRIPT",
    "SUBMISSION",
    "Effect",
    "Stage",
    "is_corner_case",
    "perform",
    "run_script",
    "score_line",
    "script_of",
    "with_note",
]

_MAX_COPIED_BYTES = 2**26
_MAX_INSPECTED_LINES = 100
_MAX_LISTED = 100
_MAX_LINE_CHARS = 500
_SUMMARY_CHARS = 120
_CORNER_CASES = {
    RunStatus.TIMEOUT,
    RunStatus.OUT_OF_MEMORY,
    RunStatus.OUTPUT_LIMIT,
    RunStatus.DISK_LIMIT,
}
_MISSING_PACKAGE = re.compile(
    r"^Traceback \(most recent call last\):\n(?:  .*\n)+"
    r"ModuleNotFoundError: No module named '(\w+(?:\.\w+)*)'\s*\Z",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Stage:
    """Where an action takes place."""

    workspace: Workspace
    data: Path
    executor: Executor
    limits: Limits
    seed: int
    editor: Editor | None
    previous: Mapping[str, bytes | None]
    """Content that "Undo Edit Script" brings back, by script; None: the script is removed."""


@dataclass(frozen=True)
class Effect:
    """What came of an action."""

    feedback: str = ""
    summary: str = ""
    """The step in one line."""
    refused: bool = False
    """The action could not be carried out, by the agent's fault."""
    outage: bool = False
    """The editor did not answer, which is not the agent's fault."""
    script: str = ""
    """Path of the script that was run."""
    source: bytes | None = None
    """Its content before the run; None if it could not be read."""
    run: Run | None = None
    missing: str = ""
    """Package that is not installed and whose import ended the run."""
    asked: Completion | None = None
    """The editor's answer."""
    edited: str | None = None
    """Path of the script that was edited."""
    before: bytes | None = None
    """Its content before the edit; None if it did not exist."""
    undone: str | None = None
    """Path of the script whose last edit was taken back."""
    final: bool = False


def perform(action: Action, stage: Stage) -> Effect:
    """Carry out an action.

    Raises
    ------
    MachineError
        The machine failed; nothing was learned about the action.
    """
    try:
        return _perform(action, stage)
    except WorkspaceError as error:
        return Effect(f"{action.name} failed: {error}", f"{action.name}: refused", refused=True)
    except EndpointError as error:
        text = f"{action.name} was not carried out, and nothing was changed: {error}"
        return Effect(text, f"{action.name}: no answer from the editor", outage=True)


def is_corner_case(run: Run, missing: str = "") -> bool:
    """Whether a run hit a limit or a missing package, rather than failing by its own fault.

    Source: arXiv 2505.23723, section 3.3, "corner cases".

    Parameters
    ----------
    run
        The run.
    missing
        The package that it lacked; see `Effect.missing`.
    """
    return run.status in _CORNER_CASES or bool(missing)


def script_of(target: str) -> str:
    """Return the script that is run after an edit of a file."""
    return target if target.endswith((".py", notebooks.SUFFIX)) else MAIN_SCRIPT


def score_line(output: str) -> str:
    """Return the last printed line about validation, where starters print their score.

    Without one, it is the last line of all.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    about = [line for line in lines if "validation" in line.lower()]
    return (about or lines or [""])[-1][:_SUMMARY_CHARS]


def _perform(action: Action, stage: Stage) -> Effect:
    match action:
        case InvalidAction():
            return Effect(action.feedback, "invalid action", refused=True)
        case ListFiles():
            return Effect(_listing(stage.workspace, action.dir_path), f"listed {action.dir_path}")
        case InspectScriptLines():
            return Effect(_inspect(stage.workspace, action), f"read {action.script_name}")
        case CopyFile():
            stage.workspace.write(
                action.destination, stage.workspace.read(action.source, _MAX_COPIED_BYTES)
            )
            done = f"copied {action.source} to {action.destination}"
            return Effect(f"Done: {done}.", done)
        case ExecuteScript():
            source = stage.workspace.read(action.script_name)
            run = run_script(stage, action.script_name)
            missing = _missing_package(run, action.script_name, stage.workspace)
            return Effect(
                _run_text(action.script_name, run, missing),
                f"ran it unchanged: {_result(run)}",
                script=action.script_name,
                source=source,
                run=run,
                missing=missing,
            )
        case EditScript():
            return _edit(action, stage)
        case EditScriptAI():
            return _edit_by_editor(action, stage)
        case UnderstandFile():
            text = _text(stage.workspace, action.file_name)
            answer = _editor(stage).understand(action.file_name, text, action.things_to_look_for)
            return Effect(answer.text, f"asked about {action.file_name}", asked=answer)
        case UndoEditScript():
            return _undo(action, stage)
        case FinalAnswer():
            return Effect("The task has ended.", "final answer", final=True)


def _edit(action: EditScript, stage: Stage) -> Effect:
    source = _text(stage.workspace, action.script_name) if action.edits else ""
    after = (
        action.content
        if action.content is not None
        else apply_edits(source, [(edit.search, edit.replace) for edit in action.edits])
    )
    return _save_and_run(action.target, after, stage)


def _edit_by_editor(action: EditScriptAI, stage: Stage) -> Effect:
    there = stage.workspace.exists(action.script_name)
    source = _text(stage.workspace, action.script_name) if there else ""
    answer = _editor(stage).edit(action.script_name, source, action.edit_instruction)
    return replace(_save_and_run(action.target, answer.text, stage), asked=answer)


def _editor(stage: Stage) -> Editor:
    if stage.editor is None:
        raise WorkspaceError("there is no editor here.")
    return stage.editor


def _save_and_run(target: str, after: str, stage: Stage) -> Effect:
    before = _content_or_none(stage.workspace, target)
    content = after.encode()
    if notebooks.is_notebook(target):
        content = notebooks.from_text(after, before)
        after = notebooks.to_text(content)
    stage.workspace.write(target, content)
    script = script_of(target)
    source = _content_if_readable(stage.workspace, script)
    run = run_script(stage, script)
    missing = _missing_package(run, script, stage.workspace)
    old = "" if before is None else _shown(target, before)
    diff = unified_diff(old, after, target) or "(no line was changed)"
    return Effect(
        f"{target} was saved with this change:\n{diff}\n\n{_run_text(target, run, missing)}",
        f"{_change(old, after)}: {_result(run)}",
        script=script,
        source=source,
        run=run,
        missing=missing,
        edited=target,
        before=before,
    )


def _undo(action: UndoEditScript, stage: Stage) -> Effect:
    name = action.script_name
    if name not in stage.previous:
        raise WorkspaceError(f"there is no edit of {name[:200]!r} to undo.")
    now, earlier = _text(stage.workspace, name), stage.previous[name]
    if earlier is None:
        stage.workspace.remove(name)
    else:
        stage.workspace.write(name, earlier)
    diff = unified_diff(now, "" if earlier is None else _shown(name, earlier), name)
    return Effect(
        f"The last edit of {name} was undone:\n{diff}", f"undid the edit of {name}", undone=name
    )


def run_script(stage: Stage, script: str) -> Run:
    """Run a script or a notebook, beginning without a submission.

    Raises
    ------
    WorkspaceError
        It is a notebook that cannot be read, or that its cells left no place for.
    MachineError
        The machine failed.
    """
    stage.workspace.remove(SUBMISSION)
    if not notebooks.is_notebook(script):
        return _execute(stage, script)
    content = stage.workspace.read(script)
    program = notebooks.program(script, content)
    stage.workspace.write(program.script, program.text.encode())
    try:
        run = _execute(stage, program.script)
    finally:
        stage.workspace.remove(program.script)
    done = notebooks.with_outputs(content, run.output, program.token)
    stage.workspace.remove(script)  # whatever the cells have put in its place
    stage.workspace.write(script, done)
    return replace(run, output=notebooks.readable(run.output, program.token))


def _execute(stage: Stage, script: str) -> Run:
    return stage.executor.run(
        script, stage.workspace.path, stage.data, stage.limits, seed=stage.seed
    )


def _text(workspace: Workspace, path: str) -> str:
    content = workspace.read(path)
    if notebooks.is_notebook(path):
        return notebooks.to_text(content)
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise WorkspaceError(f"{path[:200]!r} is not a text file.") from None


def _shown(path: str, content: bytes) -> str:
    """Return what a file was as text, whatever it was."""
    if notebooks.is_notebook(path):
        try:
            return notebooks.to_text(content)
        except WorkspaceError:
            return ""
    return content.decode("utf-8", "replace")


def _content_or_none(workspace: Workspace, path: str) -> bytes | None:
    return workspace.read(path) if workspace.exists(path) else None


def _content_if_readable(workspace: Workspace, path: str) -> bytes | None:
    try:
        return _content_or_none(workspace, path)
    except WorkspaceError:
        return None


def _listing(workspace: Workspace, path: str) -> str:
    entries = workspace.entries(path)
    lines = [
        f"{entry.name}/" if entry.is_folder else f"{entry.name} ({entry.size} bytes)"
        for entry in entries[:_MAX_LISTED]
    ]
    if len(entries) > _MAX_LISTED:
        lines.append(f"... and {len(entries) - _MAX_LISTED} more")
    return "\n".join(lines) or "The folder is empty."


def _inspect(workspace: Workspace, action: InspectScriptLines) -> str:
    lines = _text(workspace, action.script_name).splitlines()
    first = max(action.start_line_number, 1)
    last = min(action.end_line_number, len(lines), first + _MAX_INSPECTED_LINES - 1)
    if first > last:
        raise WorkspaceError(
            f"{action.script_name!r} has lines 1 to {len(lines)}; "
            f"{action.start_line_number} to {action.end_line_number} shows none of them."
        )
    shown = "\n".join(line[:_MAX_LINE_CHARS] for line in lines[first - 1 : last])
    return f"{action.script_name}, lines {first} to {last} of {len(lines)}:\n{shown}"


def _run_text(script: str, run: Run, missing: str) -> str:
    ended = {
        RunStatus.OK: "ended well",
        RunStatus.ERROR: "failed",
        RunStatus.KILLED: "was ended by a signal",
        RunStatus.TIMEOUT: "took too long and was stopped",
        RunStatus.OUT_OF_MEMORY: "used too much memory and was stopped",
        RunStatus.OUTPUT_LIMIT: "wrote too much output and was stopped",
        RunStatus.DISK_LIMIT: "wrote too much to the disk and was stopped",
    }[run.status]
    if missing:
        ended += f" because the package {missing} is not installed and cannot be"
    reason = f" ({run.reason})" if run.reason else ""
    return f"{script} {ended}{reason}. Output:\n{run.output.strip() or '(none)'}"


def _missing_package(run: Run, script: str, workspace: Workspace) -> str:
    """Return the package that a run ended for want of; empty if it did not, or only says so.

    A script can still import on purpose what there is not; that costs it the step.
    """
    found = _MISSING_PACKAGE.search(run.output) if run.status is RunStatus.ERROR else None
    if found is None:
        return ""
    name = found.group(1)
    top = name.partition(".")[0]
    for folder in {"", script[: script.rfind("/") + 1]}:
        for path in (f"{folder}{top}", f"{folder}{top}.py"):
            with contextlib.suppress(WorkspaceError):
                if workspace.exists(path):
                    return ""
    if run.sandbox in ENGINES:  # an image has other packages
        return "" if top in sys.stdlib_module_names else name
    return "" if can_be_imported(name) else name


def _result(run: Run) -> str:
    text = score_line(run.output)
    return text if run.ok else f"{run.status} {text}".strip()[:_SUMMARY_CHARS]


def _change(before: str, after: str) -> str:
    """Describe an edit in one line: the line that changed, or how many did."""
    removed, added = changed_lines(before, after)
    if len(removed) == 1 and len(added) == 1:
        return f"{removed[0]} -> {added[0]}"[:_SUMMARY_CHARS]
    return f"edited {len(removed)} lines to {len(added)}" if removed or added else "no change"


def with_note(effect: Effect, note: str) -> Effect:
    """Return the effect with a line added to its feedback."""
    return replace(effect, feedback=f"{effect.feedback}\n\n{note}")
