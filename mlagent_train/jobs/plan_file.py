"""The episodes of a stage and who acts in them, as a file: written by a stage, run by a job."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from mlagent_train.agents import Sampling
from mlagent_train.files import read_json, write_json
from mlagent_train.idea_files import IdeaSource
from mlagent_train.jobs.budget import SpendingLimits

__all__ = ["Episode", "EpisodePlan"]


@dataclass(frozen=True)
class Episode:
    """One episode to run."""

    name: str
    """Its file is ``<name>.jsonl``."""
    task: str
    env_id: str
    env_seed: int
    """Seed of the environment; equal seeds let equal steps be answered from memory."""
    seed: int
    """Seed of the policy's draws."""
    hints: tuple[str, ...] = ()
    """Ideas that stand below its first prompt. They are the policy's alone: not recorded."""


@dataclass(frozen=True)
class EpisodePlan:
    """The episodes of a stage and the policy that acts in them."""

    folder: str
    episodes: tuple[Episode, ...]
    max_steps: int
    at_once: int
    policy: str
    """Name of an agent: `mlagent_train.agents`."""
    sampling: Sampling = field(default_factory=Sampling)
    ideas: IdeaSource = field(default_factory=IdeaSource)
    ideas_per_trajectory: tuple[int, int] = (1, 3)
    limits: SpendingLimits = field(default_factory=SpendingLimits)
    cache: bool = True
    """Answer an action seen before in the same state from memory, though it was put in other
    words: good enough to measure a policy, not to learn from its words."""

    @property
    def stopped(self) -> Path:
        """Says why episodes are missing although nothing failed."""
        return self._beside("stopped")

    @property
    def unanswered(self) -> Path:
        """Says why the endpoint last gave no answer."""
        return self._beside("unanswered")

    def _beside(self, what: str) -> Path:
        folder = Path(self.folder)
        return folder.with_name(f"{folder.name}.{what}.json")

    def save(self, path: Path) -> None:
        """Write the plan as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> EpisodePlan:
        """Read what `save` wrote."""
        from pydantic import TypeAdapter

        plan: EpisodePlan = TypeAdapter(cls).validate_python(read_json(path))
        return plan
