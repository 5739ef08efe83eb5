"""From what a step did to one scalar: the agentic ML reward (arXiv 2505.23723, section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from mlagent_gym.errors import ConfigError

__all__ = [
    "REWARDS",
    "Outcome",
    "RewardConfig",
    "as_config",
    "compute_gain",
    "relative_gain",
    "reward",
]


class Outcome(StrEnum):
    """What a step came to, as far as the reward is concerned."""

    INVALID = "invalid"
    """The text was no action, or an action that could not be carried out."""
    FAILED = "failed"
    """The script failed, or left no submission that can be graded."""
    NON_EDIT = "non_edit"
    """A valid action that changes no script."""
    CORNER_CASE = "corner_case"
    """A valid action that hit a limit (memory, time, disk, output), a missing package or an
    editor that did not answer."""
    SCORED = "scored"
    """An edit that ran and was graded."""


@dataclass(frozen=True)
class RewardConfig:
    """Which reward, and its parameters."""

    version: str = "v1"
    alpha: float = 100.0
    """Slope of the sigmoid in v1."""
    floor: float = 0.01
    """Least size of ``|m_best - m_init|`` as a share of ``|m_init|``."""

    def __post_init__(self) -> None:
        if self.version not in REWARDS:
            raise ConfigError(f"There is no reward {self.version!r}; known: {', '.join(REWARDS)}.")
        if not (self.alpha > 0 and self.floor >= 0):
            raise ConfigError("A reward's alpha must be positive and its floor not negative.")

    @property
    def neutral(self) -> float:
        """Reward that neither praises nor blames: that of a valid action without effect."""
        return reward(Outcome.NON_EDIT, 0.0, self)


def as_config(value: str | Mapping[str, Any] | RewardConfig) -> RewardConfig:
    """Return `value` as a configuration: one already, its parameters, or a version.

    Raises
    ------
    ConfigError
        It is none of these.
    """
    if isinstance(value, RewardConfig):
        return value
    try:
        return RewardConfig(value) if isinstance(value, str) else RewardConfig(**value)
    except TypeError as error:
        raise ConfigError(
            f"{value!r} configures no reward: {error}. Give v1, v2 or a mlagent_gym.RewardConfig."
        ) from error


def compute_gain(
    before: float,
    after: float,
    *,
    m_init: float,
    m_best: float,
    higher_is_better: bool,
    floor: float = 0.01,
) -> float:
    """Return the step's gain, ``sign * (after - before) / |m_best - m_init|``.

    The sign makes better positive whatever the direction of the metric. The denominator
    is at least `floor` times ``|m_init|``, so that a crowded board does not blow it up.

    Parameters
    ----------
    before, after
        Scores before and after the step, in the metric's unit.
    m_init, m_best
        Score of the starter and of the best solution known.
    higher_is_better
        Direction of the metric.
    floor
        See above; a share of ``|m_init|``.
    """
    sign = 1.0 if higher_is_better else -1.0
    return sign * (after - before) / max(abs(m_best - m_init), floor * abs(m_init), 1e-12)


def relative_gain(score: float, *, m_init: float, higher_is_better: bool) -> float:
    """Return ``sign * (score - m_init) / |m_init|``, the paper's measure in its reports."""
    sign = 1.0 if higher_is_better else -1.0
    return sign * (score - m_init) / max(abs(m_init), 1e-12)


def reward(outcome: Outcome, gain: float, config: RewardConfig) -> float:
    """Return the reward of a step.

    Parameters
    ----------
    outcome
        What the step came to.
    gain
        Gain of the step; used only when `outcome` is ``SCORED``.
    config
        Version and parameters.
    """
    return REWARDS[config.version](outcome, gain, config)


def _v1(outcome: Outcome, gain: float, config: RewardConfig) -> float:
    """Paper, first version: 0, 0.5 or a sigmoid of the gain."""
    if outcome is Outcome.SCORED:
        return _sigmoid(config.alpha * gain)
    return 0.0 if outcome in (Outcome.INVALID, Outcome.FAILED) else 0.5


def _v2(outcome: Outcome, gain: float, config: RewardConfig) -> float:
    """Paper, second version: -1, 0 or the gain, here clipped to [-1, 1]."""
    if outcome is Outcome.SCORED:
        return min(1.0, max(-1.0, gain))
    return -1.0 if outcome in (Outcome.INVALID, Outcome.FAILED) else 0.0


REWARDS: Mapping[str, Callable[[Outcome, float, RewardConfig], float]] = MappingProxyType(
    {"v1": _v1, "v2": _v2}
)
"""The rewards by version."""


def _sigmoid(x: float) -> float:
    """Return the logistic function without overflow for any finite or infinite `x`."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    z = math.exp(x)
    return z / (1.0 + z)
