"""From a name to an executor."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mlagent_gym.errors import ConfigError
from mlagent_gym.executor import Executor
from mlagent_gym.sandbox.cache import CachingExecutor
from mlagent_gym.sandbox.container_executor import ContainerExecutor
from mlagent_gym.sandbox.containers import ENGINES, IMAGES_ARE_FILES
from mlagent_gym.sandbox.executor import SandboxExecutor
from mlagent_gym.sandbox.levels import best_level, require_confinement
from mlagent_gym.sandbox.portable import PortableExecutor

__all__ = ["EXECUTORS", "make_executor"]

EXECUTORS = ("auto", "warm", "cold", "unsafe")
"""Names that need no image."""

_IMAGE = "MLAGENT_IMAGE"


def make_executor(name: str = "auto", *, cache: Path | None = None, gpus: int = 0) -> Executor:
    """Return an executor by its name.

    Parameters
    ----------
    name
        ``"auto"`` or ``"warm"``: confined as well as the machine allows, forked from a
        preloaded interpreter. ``"cold"``: confined, in a new interpreter each time.
        ``"docker"``, ``"podman"``, ``"apptainer"`` or ``"singularity"``: each script in a
        container of its own, of the image named after a colon
        (``"docker:python-ml:latest"``, ``"apptainer:/images/ml.sif"``) or in
        ``MLAGENT_IMAGE``.
        ``"unsafe"``: limits on what is used, but no confinement; the only one that other
        systems than Linux have, where the limits are watched from outside.
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
    engine, _, image = name.partition(":")
    if engine in ENGINES:
        return _in_containers(engine, image or os.environ.get(_IMAGE, ""), cache, gpus)
    if name not in EXECUTORS:
        known = ", ".join((*EXECUTORS, *(f"{engine}:IMAGE" for engine in ENGINES)))
        raise ConfigError(f"There is no executor {name!r}; known: {known}.")
    if name == "unsafe" and sys.platform != "linux":
        return _remembering(PortableExecutor(), cache, f"gpus-{gpus}" if gpus else "")
    level = "none" if name == "unsafe" else best_level()
    executor = SandboxExecutor(level, warm=name in ("auto", "warm"), gpus=gpus)
    # Numbers differ in their last digits from one kind of processor to the other.
    return _remembering(executor, cache, f"gpus-{gpus}" if gpus else "")


def _in_containers(engine: str, image: str, cache: Path | None, gpus: int) -> Executor:
    if not image or image.startswith("-"):
        raise ConfigError(
            f"Executor {engine!r} needs an image with Python and the tasks' libraries: say "
            f"'{engine}:IMAGE', or set {_IMAGE}."
        )
    if gpus and engine in IMAGES_ARE_FILES:
        raise ConfigError(
            f"Executor {engine!r} cannot give each script GPUs of its own: it shows all or none. "
            "Leave the executor out, or choose docker or podman."
        )
    executor = ContainerExecutor(engine, image, gpus=gpus)
    require_confinement(executor)
    return _remembering(executor, cache, f"{executor.kind}-gpus-{gpus}")


def _remembering(executor: Executor, cache: Path | None, folder: str) -> Executor:
    return executor if cache is None else CachingExecutor(executor, cache / folder)
