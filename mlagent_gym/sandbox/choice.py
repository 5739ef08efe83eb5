"""From a name to an executor."""

from __future__ import annotations

from pathlib import Path

from mlagent_gym.errors import ConfigError
from mlagent_gym.executor import Executor
from mlagent_gym.sandbox.cache import CachingExecutor
from mlagent_gym.sandbox.executor import SandboxExecutor
from mlagent_gym.sandbox.levels import best_level

__all__ = ["EXECUTORS", "make_executor"]

EXECUTORS = ("auto", "warm", "cold", "unsafe")


def make_executor(name: str = "auto", *, cache: Path | None = None, gpus: int = 0) -> Executor:
    """Return an executor by its name.

    Parameters
    ----------
    name
        ``"auto"`` or ``"warm"``: confined as well as the machine allows, forked from a
        preloaded interpreter. ``"cold"``: confined, in a new interpreter each time.
        ``"unsafe"``: limits on what is used, but no confinement.
    cache
        Folder of known runs, which are replayed instead of made again; None: every
        script is run. See `CachingExecutor`.
    gpus
        How many graphics processors each script gets for itself, of those that
        ``CUDA_VISIBLE_DEVICES`` lets this process use.

    Raises
    ------
    ConfigError
        There is no executor of this name.
    SandboxError
        The machine cannot confine scripts; the message says what to do.
    """
    if name not in EXECUTORS:
        raise ConfigError(f"There is no executor {name!r}; known: {', '.join(EXECUTORS)}.")
    level = "none" if name == "unsafe" else best_level()
    executor = SandboxExecutor(level, warm=name in ("auto", "warm"), gpus=gpus)
    if cache is None:
        return executor
    # Numbers differ in their last digits from one kind of processor to the other.
    return CachingExecutor(executor, cache / f"gpus-{gpus}" if gpus else cache)
