"""Figures that OpenRLHF's trainer logs beside its own: by task, by action, and of the critic.

OpenRLHF logs the mean of every ``extra_logs`` value over all samples. Means over the
samples of one task, and how well the critic predicts returns, it does not compute; they
are added where it logs a batch, and go the same way to TensorBoard and Weights & Biases.
Nothing that it trains with is changed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlagent_train.after_import import after_import

__all__ = ["batch_figures", "install"]

_BY_GROUP = ("valid", "improved", "scored", "failed", "corner_case", "gain", "fault", "env_s")
"""Values of ``extra_logs`` that are logged for each task, too."""


_LATEST: dict[str, float] = {}
"""Figures of the batch whose update is logged next; one process makes and logs batches."""


def install() -> None:
    """Have OpenRLHF's trainer, in whichever process it runs, log `batch_figures`.

    Its trainer classes themselves are out of reach: Ray copies their methods when they are
    defined. What they call is not.
    """
    after_import(
        {
            "openrlhf.trainer.ppo_utils.experience_maker": _keep_figures,
            "openrlhf.utils.logging_utils": _log_figures,
        }
    )


def _keep_figures(module: Any) -> None:
    original = module.RemoteExperienceMaker.compute_advantages_and_returns

    @functools.wraps(original)
    def with_figures(self: Any, experiences: Sequence[Any]) -> Sequence[Any]:
        made: Sequence[Any] = original(self, experiences)
        _LATEST.clear()
        _LATEST.update(batch_figures(made))
        return made

    module.RemoteExperienceMaker.compute_advantages_and_returns = with_figures


def _log_figures(module: Any) -> None:
    for logger in (module.TensorboardLogger, module.WandbLogger):
        logger.log_train = _with_latest(logger.log_train)


def _with_latest(original: Any) -> Any:
    @functools.wraps(original)
    def log_train(self: Any, global_step: int, logs_dict: Mapping[str, Any]) -> None:
        original(self, global_step, {**logs_dict, **_LATEST})

    return log_train


def batch_figures(experiences: Sequence[Any]) -> dict[str, float]:
    """Return the figures of a batch of rollouts.

    Parameters
    ----------
    experiences
        OpenRLHF's ``Experience`` objects, with advantages and returns.

    Returns
    -------
    dict
        ``task/<task>/<figure>``: samples, mean reward and its standard deviation, and means
        of some values of ``extra_logs``; ``action/<kind>/reward`` over the samples whose
        actions are all of a kind; ``critic/explained_variance`` and ``critic/value_mean``.
    """
    rewards = [value for e in experiences for value in e.info["reward"].flatten().tolist()]
    tasks = [json.loads(label)["tags"]["task"] for e in experiences for label in e.labels]
    logs = {
        key: [value for e in experiences for value in e.info[key].flatten().tolist()]
        for key in experiences[0].info
        if key in _BY_GROUP or key.startswith("action_")
    }
    figures: dict[str, float] = {}
    for task in sorted(set(tasks)):
        those = [i for i, name in enumerate(tasks) if name == task]
        figures |= _group(f"task/{task}", those, rewards, logs)
    for key in logs:
        if key.startswith("action_"):
            those = [i for i, share in enumerate(logs[key]) if share == 1.0]
            if those:
                kind = key.removeprefix("action_")
                figures[f"action/{kind}/reward"] = _mean(rewards[i] for i in those)
    return figures | _critic(experiences)


def _group(
    name: str, those: Sequence[int], rewards: Sequence[float], logs: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    mean = _mean(rewards[i] for i in those)
    return {
        f"{name}/samples": float(len(those)),
        f"{name}/reward": mean,
        f"{name}/reward_std": _mean((rewards[i] - mean) ** 2 for i in those) ** 0.5,
        **{f"{name}/{key}": _mean(logs[key][i] for i in those) for key in _BY_GROUP if key in logs},
    }


def _critic(experiences: Sequence[Any]) -> dict[str, float]:
    """Return how much of the variance of the returns the critic's values explain."""
    if any(e.values is None for e in experiences):
        return {}
    import torch

    masks = [e.action_mask.bool() for e in experiences]
    pairs = list(zip(experiences, masks, strict=True))
    values = torch.cat([e.values.float()[mask] for e, mask in pairs])
    returns = torch.cat([e.returns.float()[mask] for e, mask in pairs])
    spread = returns.var(unbiased=False).item()
    figures = {"critic/value_mean": values.mean().item(), "critic/return_std": spread**0.5}
    if spread > 0:
        missed = (returns - values).var(unbiased=False).item()
        figures["critic/explained_variance"] = 1.0 - missed / spread
    return figures


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
