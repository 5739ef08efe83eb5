"""Recorded steps as the viewer shows them, from any of the forms they are written in.

A step may be a :class:`~mlagent_gym.records.Record`, a row of the trainer's trajectories,
or a row of its rollouts. Nothing of a row is trusted to be there or to have its type.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mlagent_gym.actions import parse
from mlagent_gym.errors import StateError
from mlagent_gym.rewards import Outcome, RewardConfig, as_config, reward
from mlagent_gym.state import State
from mlagent_gym.viewing.colours import DiffLine, colour_diff

__all__ = ["Step", "is_step", "read_step"]

_MAX_TEXT_CHARS = 20_000
_MAX_DIFF_CHARS = _MAX_PROMPT_CHARS = 40_000
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, and those that let a text look as if it were in another order."""
_PROSE = re.compile(
    r"^[ \t>#*`]*(Reflection|Research Plan and Status|Fact Check|Thought|Action Input|Action)"
    r"[ \t*`]*:",
    re.IGNORECASE | re.MULTILINE,
)
_WITH_DIFF = re.compile(
    r"(?P<said>[^\n]{0,300}(?:was saved with this change|was undone):)\n"
    r"(?P<diff>--- .*?)(?=\n\n|\Z)(?P<rest>.*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Step:
    """What the page shows of a step; plain values only."""

    task: str
    number: int
    """Step of the episode, counted from 1."""
    action: str
    outcome: str
    run: str
    """Status of its run, and why it ended so; empty without a run."""
    thought: str
    prose: Mapping[str, str]
    """The reply's other fields."""
    input: Mapping[str, str]
    """The action's input, but what the diff shows better."""
    reply: str
    diff: tuple[DiffLine, ...]
    output: str
    """What the environment answered, the diff left out."""
    reward: float | None
    explained: str
    """Why the reward is what it is."""
    score: float | None
    """Score after the step."""
    best: float | None
    scored: bool
    """Whether the step's own run was graded."""
    initial: float | None
    reference: float | None
    gain: float | None
    resources: Mapping[str, float] = field(default_factory=dict)
    ended: str = ""
    """How the episode ended with this step, if it did."""
    source: str = ""
    """Id of the state before the step."""
    target: str = ""
    """Id of the state after it."""
    facts: Mapping[str, str] = field(default_factory=dict)
    prompt: tuple[tuple[str, str], ...] = ()
    """(role, text) of the messages that the policy was shown, if they were recorded."""

    def to_dict(self) -> dict[str, Any]:
        """Return the step as the page's data have it: what is empty left out."""
        return {key: value for key, value in asdict(self).items() if value not in ("", {}, ())}


def is_step(row: object) -> bool:
    """Whether a decoded line is a step of any of the known forms."""
    return isinstance(row, dict) and isinstance(row.get("reply"), str) and "reward" in row


def read_step(row: Mapping[str, Any]) -> Step:
    """Return what is shown of a decoded line that `is_step`."""
    info, reply = _mapping(row.get("info")), _text(row.get("reply"))
    state = _mapping(row.get("state"))
    diff, output = _parted(_text(row.get("diff")), _text(info.get("feedback")))
    outcome, gain = _text(info.get("outcome")), _number(info.get("gain"))
    fields = _fields(reply)
    thought = fields.pop("Thought", "")
    return Step(
        task=_text(info.get("task")) or _text(row.get("task")) or _text(state.get("task")),
        number=int(_number(info.get("step")) or 0),
        action=_text(info.get("action")) or "Invalid",
        outcome=outcome or ("lost" if row.get("reward") is None else ""),
        run=" ".join(filter(None, (_text(info.get("run_status")), _text(info.get("run_reason"))))),
        thought=_cut(thought),
        prose={key: _cut(value) for key, value in fields.items()},
        input=_input(reply),
        reply=_cut(reply),
        diff=colour_diff(_cut(diff, _MAX_DIFF_CHARS)),
        output=_cut(output or _text(row.get("detail"))),
        reward=_number(row.get("reward")),
        explained=_explained(row, info, outcome, gain),
        score=_number(info.get("score")),
        best=_number(info.get("best_score")),
        scored=outcome == "scored" or bool(info.get("submission")),
        initial=_number(info.get("initial_score")),
        reference=_number(info.get("reference_score")),
        gain=gain,
        resources=_resources(row, info),
        ended=_ended(row, info),
        source=_state_id(row.get("state")),
        target=_text(info.get("state_id")),
        facts=_facts(row, info),
        prompt=_prompt(row.get("messages")),
    )


def _explained(
    row: Mapping[str, Any], info: Mapping[str, Any], outcome: str, gain: float | None
) -> str:
    """Say how the reward follows from the outcome and the gain, if it does."""
    got = _number(row.get("reward"))
    if got is None:
        return "The step was lost, so that it has no reward."
    why = {
        "invalid": "the reply is no action that could be carried out",
        "failed": "the script failed, or left no submission that could be graded",
        "non_edit": "a valid action that changes no script",
        "corner_case": "a limit, a missing package or an editor that did not answer",
    }.get(outcome)
    config = _config(row, outcome, gain or 0.0, got)
    name = f"reward {config.version}: " if config else ""
    if why:
        return f"{name}{why}"
    if outcome != "scored" or gain is None:
        return ""
    before = _number(_mapping(row.get("state")).get("score"))
    after, initial = _number(info.get("score")), _number(info.get("initial_score"))
    reference = _number(info.get("reference_score"))
    text = f"gain {gain:+.4g}"
    if None not in (before, after, initial, reference):
        text += (
            f", the way from {before:.6g} to {after:.6g}"
            f" as a share of the way from {initial:.6g} (starter) to {reference:.6g} (reference)"
        )
    if config is None:
        return text
    form = f"sigmoid({config.alpha:g} x gain)" if config.version == "v1" else "gain, in [-1, 1]"
    return f"{name}{form}; {text}"


def _config(row: Mapping[str, Any], outcome: str, gain: float, got: float) -> RewardConfig | None:
    """Return the reward that was recorded, or one of the usual ones that gives the same."""
    kwargs = _mapping(_mapping(row.get("env")).get("kwargs"))
    try:
        candidates = [as_config(kwargs["reward"])] if kwargs.get("reward") else []
    except (ValueError, TypeError):
        candidates = []
    for config in (*candidates, RewardConfig("v1"), RewardConfig("v2")):
        try:
            if math.isclose(reward(Outcome(outcome), gain, config), got, abs_tol=1e-9):
                return config
        except (TypeError, ValueError, OverflowError):
            continue
    return None


def _parted(diff: str, feedback: str) -> tuple[str, str]:
    """Return the diff, and the feedback without it."""
    found = _WITH_DIFF.match(feedback)
    if found is None:
        return diff, feedback
    return diff or found["diff"], found["rest"].strip("\n")


def _fields(reply: str) -> dict[str, str]:
    """Return the reply's prose by field; without fields, all of it is the thought."""
    marks = list(_PROSE.finditer(reply))
    found: dict[str, str] = {}
    for number, mark in enumerate(marks, start=1):
        name = mark.group(1)
        if name.lower().startswith("action"):
            break
        end = marks[number].start() if number < len(marks) else len(reply)
        found.setdefault(name[:1].upper() + name[1:], reply[mark.end() : end].strip())
    before = reply[: marks[0].start()].strip() if marks else reply.strip()
    return {"Thought": before, **found} if before else found


def _input(reply: str) -> dict[str, str]:
    action = parse(reply)
    values = {} if action.name == "Invalid" else asdict(action)
    shown = {key: value for key, value in values.items() if key not in ("edits", "content")}
    return {key: _cut(str(value)) for key, value in shown.items() if value is not None}


def _resources(row: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, float]:
    found = dict(_mapping(row.get("resources")))
    found |= {"total_s": info["seconds"]} if "seconds" in info else {}
    found |= {key: row[key] for key in ("queue_s", "env_s") if key in row}
    numbers = ((str(key), _number(value)) for key, value in found.items())
    return {key: value for key, value in numbers if value}


def _ended(row: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    if row.get("terminated"):
        return "ended"
    if row.get("truncated"):
        return f"cut off: {_text(info.get('truncated_by')) or 'a limit'}"
    return ""


def _facts(row: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, str]:
    env = _mapping(row.get("env"))
    values = {
        "data": _text(info.get("variant")),
        "fingerprint": _text(info.get("fingerprint")),
        "sandbox": _text(info.get("sandbox")),
        "environment": _text(env.get("id")) or _text(row.get("env_id")),
        "time": _text(row.get("time")),
        "fault": _text(row.get("fault")),
    }
    return {key: value for key, value in values.items() if value}


def _prompt(messages: object) -> tuple[tuple[str, str], ...]:
    found = map(_mapping, messages if isinstance(messages, list) else ())
    return tuple(
        (_text(message.get("role")), _cut(_text(message.get("content")), _MAX_PROMPT_CHARS))
        for message in found
    )


def _state_id(value: object) -> str:
    try:
        return State.from_dict(value).id
    except StateError:
        return ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    """Return a text that UTF-8 can hold, without what only a terminal would understand."""
    if not isinstance(value, str):
        return ""
    plain = _TERMINAL.sub("", value.replace("\r\n", "\n").replace("\r", "\n"))
    return _UNSEEN.sub("�", plain).encode("utf-8", "replace").decode()


def _number(value: object) -> float | None:
    """Return a finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _cut(text: str, limit: int = _MAX_TEXT_CHARS) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters ...]\n{text[-half:]}"
