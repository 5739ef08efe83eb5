"""A deterministic stand-in for the tasks: no data, no sandbox, the same interface and format.

A "script" is a few knobs; its score is a formula of them, so that a step takes no time.
Used to test the trainer's machinery. It can fail like a machine: see `FAULTS`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym

from mlagent_gym import FreeText, Idea, Resources, parse
from mlagent_gym.tasks import Edit

FAULTS = ("raise", "die", "hang", "garbage")
"""Ways to fail; ``any`` is one of them for each step."""

KNOBS = {
    "alpha": {"LR": (0.1, 0.01), "DEPTH": (2, 5), "SCALE": (False, True)},
    "beta": {"TREES": (10, 100), "LEAVES": (4, 16), "LOG_TARGET": (False, True)},
    "gamma": {"NGRAMS": (1, 2), "SMOOTHING": (1.0, 0.1), "CHARS": (False, True)},
}
"""Knobs of each task: (starter's value, better value)."""


@dataclass(frozen=True)
class ToyState:
    task: str
    script: str
    score: float
    seed: int = 0
    step: int = 0
    history: tuple[str, ...] = ()
    final: bool = False

    @property
    def id(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


class KnobsEnv(gym.Env[str, str]):
    def __init__(
        self,
        task: str,
        fault: str = "",
        fault_every: int = 0,
        seconds: float = 0.0,
        marks: str = "",
        max_steps: int = 15,
        step_wise: bool = False,
        **_: Any,
    ) -> None:
        self.observation_space = FreeText()
        self.action_space = FreeText()
        self._task, self._every, self._seconds = task, fault_every, seconds
        self._fault, self._step_wise = fault, step_wise
        self._marks = Path(marks) if marks else None
        self._max_steps = max_steps
        self._state: ToyState | None = None

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        start = (options or {}).get("state")
        if start is None:
            script = "".join(f"{k} = {v[0]!r}\n" for k, v in KNOBS[self._task].items())
            self._state = ToyState(self._task, script, _score(self._task, script), seed or 0)
        else:
            self._state = ToyState(**{**start, "history": tuple(start["history"])})
        return self._prompt(), self._info("", "", 0.0)

    def step(self, action: str) -> Any:
        state = self._state
        assert state is not None
        time.sleep(self._seconds)
        if self._fails(action):
            return self._misbehave(
                fault_of(state, action, self._every) if self._fault == "any" else self._fault
            )
        parsed = parse(action)
        outcome, note, gain = "non_edit", "looked", 0.0
        script, score, final = state.script, state.score, False
        if parsed.name == "Invalid":
            outcome, note = "invalid", "invalid action"
        elif parsed.name == "Final Answer":
            note, final = "final answer", True
        elif parsed.name == "Edit Script":
            text = state.script
            edits = parsed.edits
            if any(text.count(edit.search) != 1 for edit in edits) or not edits:
                outcome, note = "invalid", "Edit Script: refused"
            else:
                for edit in edits:
                    text = text.replace(edit.search, edit.replace)
                new = _score(self._task, text)
                if new is None:
                    outcome, note = "failed", "error"
                else:
                    outcome, gain = "scored", new - state.score
                    script, score = text, new
                    note = f"{edits[0].search} -> {edits[0].replace}: score {new:.2f}"
        self._state = replace(
            state,
            script=script,
            score=score,
            step=state.step + 1,
            history=(*state.history, note),
            final=final,
        )
        rewards = {"invalid": 0.0, "failed": 0.0, "non_edit": 0.5}
        reward = rewards.get(outcome, 1.0 if gain > 0 else 0.5 if gain == 0 else 0.0)
        truncated = not final and self._state.step >= self._max_steps
        terminated = final or self._step_wise
        return self._prompt(), reward, terminated, truncated, self._info(parsed.name, outcome, gain)

    def state(self) -> ToyState:
        assert self._state is not None
        return self._state

    def _fails(self, action: str) -> bool:
        """Whether this step fails; with `marks`, only the first time it is tried."""
        if not self._fault:
            return False
        name = _name(self._state, action)
        if not fault_of(self._state, action, self._every):
            return False
        if self._marks is None:
            return True
        mark = self._marks / name
        first = not mark.exists()
        mark.touch()
        return first

    def _misbehave(self, how: str) -> Any:
        if how == "raise":
            raise RuntimeError("the toy is broken")
        if how == "die":
            os._exit(9)
        if how == "hang":
            time.sleep(3600)
        return "", float("nan"), False, False, self._info("", "", 0.0)

    def _prompt(self) -> str:
        state = self._state
        assert state is not None
        steps = "".join(f"{i + 1}. {line}\n" for i, line in enumerate(state.history)) or "(none)\n"
        return (
            f"Task: {self._task}\nStep {state.step + 1} of {self._max_steps}\n"
            f"Knobs of train.py:\n{state.script}Steps so far:\n{steps}Next action?"
        )

    def _info(self, action: str, outcome: str, gain: float) -> dict[str, Any]:
        state = self._state
        assert state is not None
        start = _score(
            self._task, "".join(f"{k} = {v[0]!r}\n" for k, v in KNOBS[self._task].items())
        )
        return {
            "task": self._task,
            "variant": "synthetic",
            "step": state.step,
            "action": action,
            "valid": outcome not in ("", "invalid"),
            "outcome": outcome,
            "score": state.score,
            "gain": gain,
            "relative_gain": (state.score - start) / start,
            "resources": Resources(total_s=self._seconds),
            "state_id": state.id,
            "messages": [{"role": "user", "content": self._prompt()}],
        }


def _name(state: ToyState | None, action: str) -> str:
    return hashlib.sha256(f"{state}{action}".encode()).hexdigest()


def fault_of(state: ToyState | None, action: str, every: int = 0) -> str:
    """Return how a step fails when one in `every` does, in any way; empty: it does not."""
    number = int(_name(state, action), 16)
    if every and number % every:
        return ""
    return FAULTS[number // max(every, 1) % len(FAULTS)]


def _score(task: str, script: str) -> Any:
    score = 0.5
    for name, (_, better) in KNOBS[task].items():
        found = re.search(rf"^{name} = (.+)$", script, re.MULTILINE)
        if found is None or "(" in found.group(1):
            return None
        score += 0.1 * (found.group(1) == repr(better)) - 0.1 * (found.group(1) == "None")
    return score


for _task in KNOBS:
    gym.register(f"Toy/{_task}-v0", entry_point="toy_env:KnobsEnv", kwargs={"task": _task})


def ideas(task: str) -> list[Idea]:
    """Better values, worse ones and one that breaks the script, for every knob."""
    bank = []
    for name, (start, better) in KNOBS[task].items():
        for value in (better, "None", "oops("):
            edit = Edit(f"{name} = {start!r}", f"{name} = {value}")
            bank.append(Idea(f"{name}-{value}", f"Set {name} to {value}.", (edit,)))
    return bank
