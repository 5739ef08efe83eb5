"""Every error a user can meet has a type of ours, names the thing and says what to do next."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

import mlagent_gym
from mlagent_gym import errors

ROOT = Path(mlagent_gym.__file__).parents[1]
TREES = [ROOT / "mlagent_gym", ROOT / "mlagent_train"]

OURS = {
    *errors.__all__,
    "BudgetError",
    "CollapseError",
    "StageError",
    "TooManyFaultsError",
    "TrainerVersionError",
}
TO_THE_AGENT = {"WorkspaceError", "SubmissionError"}
"""Their messages are feedback: they say what is wrong with what the agent wrote."""

NEXT_STEP = re.compile(
    r"(?:^|[.:;,}] |\bor |\band |\bthen |[(\n])"
    r"(add|allow|choose|copy|delete|export|fix|free|get|give|if you|install|leave|make|name|"
    r"prepare|put|remove|restart|restore|run|save|say|see|set|start|try|upgrade|use|write)\b"
    r"|known:|it has:|\bmust\b|\bneeds?\b|\bat least\b",
    re.IGNORECASE,
)
SAYS_IT_BY_ITSELF = {
    "HELP",
    "advice",
    "_origin",
    "_unknown",
    "broken",
    "hint",
    "message",
    "problems",
    "read_json",
    "reasons",
    "steps",
    "wrong",
}
"""Names of values that end a message with what to do."""
PASSED_ON = {
    "{path}, line {number}: {error}",
    "Training was stopped after update {last}: {reason}.",
}
"""Caught by us: what to do is in the error inside, or is added on the way."""


def text_of(node):
    """Return a message with its computed parts in braces."""
    match node:
        case ast.Constant():
            return str(node.value)
        case ast.JoinedStr():
            return "".join(text_of(part) for part in node.values)
        case ast.FormattedValue():
            return "{" + ast.unparse(node.value) + "}"
        case ast.BinOp():
            return text_of(node.left) + text_of(node.right)
        case _:
            return "{" + ast.unparse(node) + "}"


def raised():
    for path in sorted(path for tree in TREES for path in tree.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=kind), args=[message, *_]) if kind in OURS:
                    names = {part.id for part in ast.walk(message) if isinstance(part, ast.Name)}
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", kind, text_of(message), names


RAISED = list(raised())


@pytest.mark.parametrize(
    ("kind", "message", "names"), [pytest.param(*rest, id=place) for place, *rest in RAISED]
)
def test_a_message_names_the_thing_and_the_next_step(kind, message, names):
    assert message.endswith((".", "}", "?", "'")) or re.search("mlagent |pip install ", message)
    if kind not in TO_THE_AGENT and message not in PASSED_ON:
        assert NEXT_STEP.search(message) or names & SAYS_IT_BY_ITSELF, message


def test_every_error_is_raised_somewhere():
    groups = {"MLAgentError", "DataError", "StateError"}
    used = {kind for _, kind, _, _ in RAISED}
    if importlib.util.find_spec("mlagent_train") is None:
        used |= {"StageError", "TooManyFaultsError", "TrainerVersionError"}
    assert used >= OURS - groups


def test_nothing_else_is_raised_for_a_user_to_meet():
    """Built-in errors are for the protocols of Python, of Gymnasium and of a stand-in."""
    builtin = re.compile(r"^(Value|Type|Runtime|Key|Index|Attribute)Error$")
    found = {
        f"{path.relative_to(ROOT)}: {node.exc.func.id}"
        for path in (path for tree in TREES for path in tree.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and builtin.match(node.exc.func.id)
    }
    assert found <= {
        "mlagent_gym/actions.py: TypeError",  # an unknown keyword argument
        "mlagent_gym/spaces.py: ValueError",  # a mask for a space that has none
        "mlagent_train/cuda_free/shim.py: RuntimeError",  # a call of a package that is not there
    }
