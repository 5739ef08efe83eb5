"""OpenRLHF's PPO command of a run."""

from __future__ import annotations

from pathlib import Path

from mlagent_train.rlhf.flags import PpoFiles, ppo_flags
from mlagent_train.rlhf.options import to_argv
from mlagent_train.run import Run

__all__ = ["partial_model", "ppo_argv"]

_AGENT = Path(__file__).parent / "rlhf" / "agent.py"


def ppo_argv(run: Run) -> list[str]:
    """Return the arguments of OpenRLHF's PPO command for this run.

    Raises
    ------
    ConfigError
        See `ppo_flags`.
    """
    folder = run.folder / "ppo"
    files = PpoFiles(
        model=run.start_model,
        prompts=folder / "prompts.jsonl",
        evaluation=folder / "evaluation.jsonl",
        agent=_AGENT,
        checkpoints=folder / "checkpoints",
        output=partial_model(run),
        tensorboard=run.tensorboard,
    )
    return to_argv(ppo_flags(run.config, files))


def partial_model(run: Run) -> Path:
    """Where OpenRLHF writes the trained policy, at the end."""
    return run.folder / "ppo" / "model.partial"
