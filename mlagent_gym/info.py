"""What the environment says beside the prompt: ``info``, with the same keys at every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlagent_gym.baselines import Baseline
from mlagent_gym.episode import Resources
from mlagent_gym.rewards import Outcome, relative_gain
from mlagent_gym.state import State
from mlagent_gym.steps import Effect

__all__ = ["INFO_KEYS", "Result", "describe"]

INFO_KEYS = (
    "task",
    "variant",
    "fingerprint",
    "step",
    "action",
    "valid",
    "outcome",
    "run_status",
    "run_reason",
    "score",
    "also",
    "flag",
    "best_score",
    "initial_score",
    "reference_score",
    "gain",
    "relative_gain",
    "resources",
    "sandbox",
    "truncated_by",
    "feedback",
    "summary",
    "state_id",
    "submission",
)
"""Keys that ``info`` always has, after ``reset`` and after ``step``."""


@dataclass(frozen=True)
class Result:
    """What a step came to; without arguments, what a reset comes to."""

    effect: Effect = field(default_factory=Effect)
    action: str = ""
    outcome: Outcome | None = None
    gain: float = 0.0
    resources: Resources = field(default_factory=Resources)
    truncated_by: str = ""
    submission: str = ""
    """Digest of the submission that was graded, if it was kept."""
    also: Mapping[str, float] = field(default_factory=dict)
    """Further metrics of the submission that was graded, by name."""
    flag: str = ""
    """What is suspicious about its score, if anything is."""


def describe(
    state: State, baseline: Baseline, result: Result, *, higher_is_better: bool
) -> dict[str, Any]:
    """Return ``info``: values under `INFO_KEYS`.

    Parameters
    ----------
    state
        The state after the step.
    baseline
        Ends of the task's scale.
    result
        What the step came to.
    higher_is_better
        Direction of the metric.
    """
    run, outcome, best = result.effect.run, result.outcome, state.best_score
    return {
        "task": state.task,
        "variant": state.variant,
        "fingerprint": state.fingerprint,
        "step": state.step,
        "action": result.action,
        "valid": outcome not in (None, Outcome.INVALID),
        "outcome": "" if outcome is None else str(outcome),
        "run_status": "" if run is None else str(run.status),
        "run_reason": "" if run is None else run.reason,
        "score": state.score,
        "also": dict(result.also),
        "flag": result.flag,
        "best_score": best,
        "initial_score": baseline.m_init,
        "reference_score": baseline.m_best,
        "gain": result.gain,
        "relative_gain": 0.0
        if best is None
        else relative_gain(best, m_init=baseline.m_init, higher_is_better=higher_is_better),
        "resources": result.resources,
        "sandbox": "" if run is None else run.sandbox,
        "truncated_by": result.truncated_by,
        "feedback": result.effect.feedback,
        "summary": result.effect.summary,
        "state_id": state.id,
        "submission": result.submission,
    }
