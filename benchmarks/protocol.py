"""What is run: tasks, how often and how long. Two results compare only if their protocols do."""

from __future__ import annotations

import contextlib
import json
import platform
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import psutil

from mlagent_gym import ConfigError, load_task, task_ids
from mlagent_gym.data import variants
from mlagent_gym.endpoint import EndpointConfig
from mlagent_train.agents import trained_model
from mlagent_train.files import write_json

__all__ = [
    "Protocol",
    "choose_tasks",
    "differences",
    "editor_model",
    "remarks",
    "surroundings",
    "trained_with",
]

_PACKAGES = ("gymnasium", "mlagent-gym", "numpy", "pandas", "scikit-learn", "torch")
_MUST_AGREE = (
    "variant",
    "data_seed",
    "trajectories",
    "max_steps",
    "max_seconds",
    "executor",
    "seed",
    "editor",
)
_MAY_DIFFER = ("prompt", "scaffold", "tasks")


@dataclass(frozen=True)
class Protocol:
    """One benchmark: arXiv 2505.23723, section 4.1, unless set otherwise."""

    policy: str
    tasks: tuple[str, ...]
    variant: str = "synthetic"
    data_seed: int = 0
    trajectories: int = 8
    """Episodes for each task."""
    max_steps: int = 15
    max_seconds: float = 1800.0
    """Of one episode, runs of scripts included."""
    seed: int = 0
    """Trajectory k of a task has seed ``seed + k``."""
    prompt: str = "mlab"
    scaffold: Literal["mlab", "tree"] = "mlab"
    """Who picks the state to go on from: the episode as it runs, or a tree search."""
    executor: str = "auto"
    temperature: float = 0.6
    """Of sampling, for models."""
    max_new_tokens: int = 2048
    max_prompt_tokens: int = 0
    """Longer prompts lose their beginning; 0: whatever the model takes."""
    model: str = ""
    """Which of a run's policies acts: ``checkpoint``, or ``sft/model`` until there is one."""
    editor: str = ""
    """Model behind "Edit Script (AI)"; empty: there is no such action."""

    def save(self, path: Path) -> None:
        """Write the protocol as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Protocol:
        """Read what `save` wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(**(values | {"tasks": tuple(values["tasks"])}))

    def env_kwargs(self, store: Path) -> dict[str, Any]:
        """Return the arguments of ``gym.make`` for every task."""
        return {
            "variant": self.variant,
            "data_seed": self.data_seed,
            "max_steps": self.max_steps,
            "max_seconds": self.max_seconds,
            "prompt": self.prompt,
            "executor": self.executor,
            "store": str(store),
            "observation": "messages",
        }


def trained_with(policy: str) -> dict[str, Any]:
    """Return the fields of a protocol that a run of ours was evaluated with; else none.

    A small model knows only the prompt it was trained on.

    Raises
    ------
    ConfigError
        The run's folder has no configuration, or no policy yet.
    """
    kind, _, folder = policy.partition(":")
    if kind != "run":
        return {}
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        asked = {
            "prompt": config["env"]["prompt"],
            "temperature": config["evaluate"]["temperature"],
            "max_new_tokens": config["rollout"]["max_new_tokens"],
            "max_prompt_tokens": config["rollout"]["max_prompt_tokens"],
        }
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"{folder} has no configuration ({error}); is it a run folder of mlagent_train?"
        ) from error
    return {"model": trained_model(Path(folder)).relative_to(folder).as_posix(), **asked}


def editor_model() -> str:
    """Return the model that edits scripts when asked in words, as the environment says."""
    config = EndpointConfig.from_environment()
    return config.model if config else ""


def choose_tasks(names: Iterable[str], variant: str = "synthetic") -> tuple[str, ...]:
    """Return task ids from ids and the words ``held-in``, ``held-out`` and ``all``.

    Raises
    ------
    UnknownTaskError
        A name is neither a task nor one of these words.
    ConfigError
        Nothing is named, or a task has no such variant.
    """
    chosen: list[str] = []
    for name in names:
        if name == "all":
            chosen += task_ids()
        elif name in ("held-in", "held-out"):
            chosen += [task for task in task_ids() if load_task(task).split == name]
        else:
            chosen.append(load_task(name).id)
    if not chosen:
        raise ConfigError("No task was named: give ids, held-in, held-out or all.")
    for task in chosen:
        if variant not in (known := variants(load_task(task))):
            raise ConfigError(
                f"There is no variant {variant!r} of {task}; known: {', '.join(known)}."
            )
    return tuple(dict.fromkeys(chosen))


def differences(ours: Protocol, theirs: Protocol) -> list[str]:
    """Return what keeps two results from being compared, one sentence each."""
    return _differing(ours, theirs, _MUST_AGREE)


def remarks(ours: Protocol, theirs: Protocol) -> list[str]:
    """Return what else differs: how a policy is asked is its own, but must be said."""
    return _differing(ours, theirs, _MAY_DIFFER)


def _differing(ours: Protocol, theirs: Protocol, names: Iterable[str]) -> list[str]:
    return [
        f"{name} is {getattr(ours, name)!r} here and {getattr(theirs, name)!r} there"
        for name in names
        if getattr(ours, name) != getattr(theirs, name)
    ]


def surroundings() -> dict[str, Any]:
    """Return the versions and the machine a result was made with."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "processor": _processor(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "gpus": _gpus(),
        "revision": _revision(),
        "packages": dict(_versions()),
    }


def _versions() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            yield package, version(package)


def _processor() -> str:
    """Return the processor's name, as Linux knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _gpus() -> list[str]:
    try:
        import torch
    except ImportError:
        return []
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def _revision() -> str:
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
