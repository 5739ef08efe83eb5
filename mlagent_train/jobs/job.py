"""A run of one OpenRLHF command, as a file: written by a stage, carried out by `launch`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlagent_train.files import write_text

__all__ = ["Job", "RaySettings"]


@dataclass(frozen=True)
class RaySettings:
    """The Ray cluster of a job."""

    address: str = ""
    """Empty: one is started on this machine, with the resources below."""
    cpus: int = 0
    gpus: int = 0
    """Devices the trainer's roles ask for; on a machine without CUDA they are only tickets."""
    gpus_needed: int = 0
    """GPUs without which the job would wait for ever; 0: none, or it has no such limit."""
    env_slots: int = 0
    object_store_mb: int = 512


@dataclass(frozen=True)
class Job:
    """What to run."""

    command: str
    """Module of an OpenRLHF command."""
    argv: tuple[str, ...]
    cuda_free: bool
    engine: str
    """``transformers`` or ``vllm``; only looked at when `cuda_free`."""
    ray: RaySettings | None = None
    pool: dict[str, Any] | None = None
    """Values of `PoolSettings`."""
    processes: int = 1
    """More than 1, without Ray only: so many of it on this machine, as ranks of one group."""

    def save(self, path: Path) -> None:
        """Write the job as JSON."""
        write_text(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Job:
        """Read what `save` wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        ray = values.pop("ray")
        return cls(**{**values, "argv": tuple(values["argv"]), "ray": ray and RaySettings(**ray)})
