"""Which runs are made, with which configuration, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlagent_train.config import Config, load_config

__all__ = [
    "ARMS",
    "FULL",
    "QUICK",
    "QUICK_ARMS",
    "Arm",
    "Size",
    "arm_config",
    "base_config",
    "expert_config",
]

_FILE = Path(__file__).parent / "learning.toml"
_PROMPT = Path(__file__).parent / "prompt.toml"


@dataclass(frozen=True)
class Arm:
    """One way of training; every arm is run with every seed."""

    name: str
    says: str
    """What it is, for the page."""
    ideas: int | None = 0
    """How many ideas of the expert for each task its warm start shows; 0: all, None: there is
    no warm start."""
    start: str = ""
    """Name of the arm whose start it takes as it is; empty: it has its own."""
    mode: str = "step"
    """``episode``: PPO on whole episodes. Its start is that of `diverse`, shown chats of many
    turns as well."""
    shuffled: bool = False
    """Whether its rewards are drawn instead of earned."""
    timed: bool = False
    """Whether its times are compared, so that it may replay no runs but its own."""
    evaluations: int = 1
    """How many times as many evaluation episodes it has as other arms."""


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        # Claim 1 is about its gains. With eight episodes a task, chance moves their mean over the
        # held-out tasks by 0.8 to 1.8 points (standard error), much beside what PPO adds to it.
        Arm("diverse", "diverse ideas, then step-wise PPO", timed=True, evaluations=2),
        # Claim 2 is about what these two add to one start.
        Arm(
            "episode",
            "the start of `diverse`, shown chats of many turns, then episode-wise PPO",
            mode="episode",
            timed=True,
            evaluations=2,
        ),
        Arm(
            "step",
            "the start of `episode`, then step-wise PPO",
            start="episode",
            timed=True,
            evaluations=2,
        ),
        Arm("single", "one idea a task, then step-wise PPO", ideas=1),
        Arm("none", "no warm start, then step-wise PPO", ideas=None),
        Arm(
            "shuffled",
            "the start of `diverse`, then shuffled rewards",
            start="diverse",
            shuffled=True,
            evaluations=2,  # as many as its start, which is that of `diverse`, has
        ),
    )
}
QUICK_ARMS = ("diverse", "episode", "step", "single")
"""Those that the three claims need; starting PPO takes longer than a quick run of it."""


@dataclass(frozen=True)
class Size:
    """How much is done in one run."""

    exercises: int
    """Chats that the base model is pretrained on, each once."""
    trajectories: int
    """Of the expert, for each held-in task."""
    examples: int
    """Steps shown in the warm start, renamed ones included; each is shown once."""
    chats: int
    """Chats of up to `turns` of such steps, shown before episode-wise PPO."""
    updates: int
    states: int
    """Environment steps of an update."""
    turns: int
    """Steps of an episode in episode-wise training."""
    episodes: int
    """For each task in an evaluation."""
    probes: int
    """States of each split that the state-reading test asks about."""


FULL = Size(
    exercises=16_000,
    trajectories=12,
    examples=3_200,
    chats=800,
    updates=16,
    states=64,
    turns=4,
    episodes=8,
    probes=48,
)
QUICK = Size(  # with half as many exercises and examples, hardly a reply is an action
    exercises=1_600,
    trajectories=4,
    examples=800,
    chats=200,
    updates=2,
    states=32,
    turns=4,
    episodes=1,
    probes=12,
)


def expert_config(size: Size) -> Config:
    """Return the configuration that the expert's trajectories are collected with."""
    return _load(f"collect.trajectories_per_task={size.trajectories}")


def base_config() -> Config:
    """Return the configuration that the base model is pretrained with."""
    return _load("sft.batch_size=16", "sft.micro_batch_size=16", "sft.lr=3e-3")


def arm_config(arm: Arm, seed: int, size: Size, rewards: Path) -> Config:
    """Return the configuration of an arm's run.

    Parameters
    ----------
    arm, seed, size
        Which run.
    rewards
        Record of the steps whose rewards a shuffled arm draws from.
    """
    settings = [
        f"seed={seed}",
        f"collect.trajectories_per_task={size.trajectories}",
        f"sft.enabled={str(arm.ideas is not None).lower()}",
        f"ppo.updates={size.updates}",
        f"evaluate.episodes_per_task={size.episodes * arm.evaluations}",
    ]
    if arm.mode == "episode":
        episodes = size.states // size.turns
        settings += [
            "sft.max_tokens=2048",
            "sft.lr=5e-4",  # at 1.5e-3, chats unlearned much of one start
            "env.mode=episode",
            f"env.max_steps={size.turns}",
            f"ppo.states_per_update={episodes}",
            f"ppo.batch_size={episodes // 2}",
            f"ppo.micro_batch_size={episodes // 4}",
            f"rollout.micro_batch_size={episodes // 4}",
        ]
    else:
        settings.append(f"ppo.states_per_update={size.states}")
    if arm.shuffled:
        settings += [
            "tasks.env_id=benchmarks.learning.shuffled:Shuffled/{task}-v0",
            f'env.kwargs.rewards="{rewards}"',
            "workers.cache=false",  # equal steps get different rewards
        ]
    return _load(*settings)


def _load(*settings: str) -> Config:
    return load_config(str(_FILE), [f'env.prompt="{_PROMPT}"', *settings])
