"""A run folder: where everything of one training run is, and what it was made with."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlagent_gym import load_task, task_ids
from mlagent_train.config import Config, config_to_dict
from mlagent_train.errors import ConfigError, DiskFullError, TrainerVersionError
from mlagent_train.files import read_json, write_json
from mlagent_train.hardware import cpu_count, gpu_count
from mlagent_train.rlhf.limits import on_gpu

__all__ = ["Run", "open_run", "require_packages"]

_PACKAGES = (
    "deepspeed",
    "gymnasium",
    "mlagent-gym",
    "numpy",
    "openrlhf",
    "ray",
    "scikit-learn",
    "tokenizers",
    "torch",
    "transformers",
    "vllm",
)

_UNKNOWN_TASK_S = 1800.0
"""For the scripts of a task that is not one of ours."""
_BESIDE_SCRIPTS_S = 300.0
"""For waiting, grading and saving, in a step."""

_FREE = frozenset(
    f"collect.{key}" for key in ("at_once", "max_dollars", "max_tokens", "requests_per_minute")
)
"""Keys that may change between two starts of a run: they decide how far it goes, not where."""


_NEEDED = (
    "datasets",
    "deepspeed",
    "jinja2",
    "matplotlib",
    "openrlhf",
    "ray",
    "tensorboard",
    "torch",
    "yaml",
)


@dataclass(frozen=True)
class Run:
    """A configuration and the folder it is carried out in."""

    config: Config
    folder: Path

    @property
    def ideas(self) -> Path:
        """A file of ideas for each task, if they were made."""
        return self.folder / "ideas"

    @property
    def trajectories(self) -> Path:
        """One JSONL file for each expert trajectory."""
        return self.folder / "collect" / "trajectories"

    @property
    def states(self) -> Path:
        """The state pool: start states of step-wise training."""
        return self.folder / "collect" / "states.jsonl"

    @property
    def sft_data(self) -> Path:
        """Chats of the expert's good trajectories, one a step, the last message its reply."""
        return self.folder / "collect" / "sft.jsonl"

    @property
    def store(self) -> Path:
        """Contents that states name by digest."""
        return self.folder / "store"

    @property
    def initial_model(self) -> Path:
        """The tiny model before any training."""
        return self.folder / "sft" / "initial"

    @property
    def sft_model(self) -> Path:
        """The policy after the warm start."""
        return self.folder / "sft" / "model"

    @property
    def start_model(self) -> str:
        """Folder or hub name of the policy that PPO starts from."""
        if self.config.sft.enabled:
            return str(self.sft_model)
        return self.config.model.path or str(self.initial_model)

    @property
    def final_model(self) -> Path:
        """The policy after PPO, for ``transformers``."""
        return self.folder / "checkpoint"

    @property
    def best_model(self) -> Path:
        """The policy of the best evaluation during PPO, for ``transformers``."""
        return self.folder / "best"

    @property
    def tensorboard(self) -> Path:
        """Event files, a folder for each stage."""
        return self.folder / "tensorboard"

    @property
    def held_in(self) -> tuple[str, ...]:
        """Tasks trained on."""
        return self.config.tasks.held_in or _tasks("held-in")

    @property
    def held_out(self) -> tuple[str, ...]:
        """Tasks only evaluated."""
        return self.config.tasks.held_out or _tasks("held-out")

    @property
    def slots(self) -> int:
        """Environment steps at the same time."""
        return self.config.workers.slots or cpu_count()

    @property
    def longest_s(self) -> float:
        """Seconds that the scripts of one step may take, by the tasks' and the config's limits."""
        known, kwargs = set(task_ids()), self.config.env.kwargs
        longest = max(
            load_task(task).limits.wall_s if task in known else _UNKNOWN_TASK_S
            for task in (*self.held_in, *self.held_out)
        )
        return float(
            min(longest, kwargs.get("max_seconds", longest)) * kwargs.get("score_seeds", 1)
        )

    @property
    def step_timeout_s(self) -> float:
        """Seconds after which a worker that has not answered is given up."""
        return self.config.workers.step_timeout_s or self.longest_s + _BESIDE_SCRIPTS_S

    def env_id(self, task: str) -> str:
        """Return the Gymnasium id of a task."""
        return self.config.tasks.env_id.format(task=task)

    def env_kwargs(self) -> dict[str, Any]:
        """Return the arguments of ``gym.make`` for every environment of the run."""
        env = self.config.env
        return {
            "variant": self.config.tasks.variant,
            "prompt": env.prompt,
            "reward": env.reward,
            "max_steps": env.max_steps,
            "store": str(self.store),
            **env.kwargs,
        }


def open_run(config: Config, folder: Path | None = None) -> Run:
    """Return the run of a configuration, new or as it was left.

    Parameters
    ----------
    config
        Its resolved form is kept in the folder.
    folder
        None: ``runs/<name>`` below the working folder.

    Raises
    ------
    ConfigError
        The folder holds a run of another configuration.
    DiskFullError
        Less room than ``hardware.min_free_disk_gb``.
    """
    root = (folder or Path("runs") / config.name).resolve()
    kept, resolved = root / "config.json", config_to_dict(config)
    if kept.exists():
        changed = sorted({*_differences(read_json(kept), resolved)} - _FREE)
        if changed:
            raise ConfigError(
                f"{root} holds a run with another configuration ({', '.join(changed[:6])}). "
                "Name another folder with --run, or delete this one."
            )
    root.mkdir(parents=True, exist_ok=True)
    free_gb = shutil.disk_usage(root).free / 1e9
    if free_gb < config.hardware.min_free_disk_gb:
        raise DiskFullError(
            f"{root} has {free_gb:.1f} GB of free disk; hardware.min_free_disk_gb asks for "
            f"{config.hardware.min_free_disk_gb:g}. Free some, or name another disk with --run."
        )
    write_json(kept, resolved)
    if not (root / "versions.json").exists():
        write_json(root / "versions.json", _versions(config))
    return Run(config, root)


def require_packages() -> None:
    """Check that the trainer's packages are installed.

    Raises
    ------
    TrainerVersionError
        Some are missing; the message says how to install them.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainerVersionError(
            f"Not installed: {', '.join(missing)}. The trainer's packages are installed with: "
            "pip install 'mlagent-gym[train-cpu]' && pip install --no-deps openrlhf==0.11.2 "
            "(see requirements/README.md)."
        )


def _tasks(split: str) -> tuple[str, ...]:
    return tuple(name for name in task_ids() if load_task(name).split == split)


def _differences(old: Any, new: Any, where: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            change
            for key in {*old, *new}
            for change in _differences(old.get(key), new.get(key), f"{where}{key}.")
        ]
    return [] if old == new else [where.rstrip(".")]


def _versions(config: Config) -> dict[str, Any]:
    found: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpus": cpu_count(),
        "gpus": gpu_count(),
        "device": "gpu" if on_gpu(config) else "cpu",
        "packages": found,
        "git": _git_revision(),
    }


def _git_revision() -> str | None:
    """Return the project's revision, with ``+`` when files differ from it."""
    here = Path(__file__).parent

    def git(*args: str) -> str:
        command = ["git", "-C", str(here), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", str(here)) else "")
    except (OSError, subprocess.CalledProcessError):
        return None
