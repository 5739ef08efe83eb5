"""Where the ideas of an expert come from: files of the ideas stage, a function, a task's folder."""

from __future__ import annotations

import importlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlagent_gym import Edit, Idea, load_ideas, load_task
from mlagent_train.errors import ConfigError
from mlagent_train.files import read_json, write_json

__all__ = ["IdeaSource", "read_ideas", "with_hints", "write_ideas"]

_HINT = """Some ideas that may help. You may follow, combine or leave them:
{ideas}"""


@dataclass(frozen=True)
class IdeaSource:
    """Gives the ideas that may be tried on a task."""

    folder: str = ""
    """Files of the ideas stage; a task that has none there takes the next source."""
    function: str = ""
    """``module:function`` from a task's id to its ideas; empty: the task's folder."""
    per_task: int = 0
    """Only the first so many; 0: all."""

    def of(self, task: str) -> Sequence[Idea]:
        """Return the ideas of a task."""
        return self._all(task)[: self.per_task or None]

    def edits_of(self, task: str) -> Sequence[Idea]:
        """Return those that come with edits, as a scripted expert needs them.

        Raises
        ------
        ConfigError
            None does.
        """
        ideas = tuple(idea for idea in self._all(task) if idea.edits)
        if not ideas:
            raise ConfigError(
                f"The ideas for {task} are words without edits, which a scripted expert cannot "
                "carry out: set collect.expert to a model, or make ideas from the bank "
                "(ideas.source=bank)."
            )
        return ideas[: self.per_task or None]

    def draw(self, task: str, count: tuple[int, int], seed: int) -> tuple[str, ...]:
        """Draw a few ideas, as sentences."""
        rng = random.Random(f"{task}/{seed}")
        ideas = [idea.idea for idea in self.of(task)]
        return tuple(rng.sample(ideas, min(rng.randint(*count), len(ideas))))

    def _all(self, task: str) -> Sequence[Idea]:
        if self.folder and (path := Path(self.folder) / f"{task}.json").exists():
            return read_ideas(path)
        if self.function:
            module, _, name = self.function.partition(":")
            ideas: Sequence[Idea] = getattr(importlib.import_module(module), name)(task)
            return ideas
        return load_ideas(load_task(task))


def write_ideas(path: Path, ideas: Sequence[Idea], about: Mapping[str, Any]) -> None:
    """Write the ideas that were kept, and how they came about."""
    write_json(path, {**about, "ideas": [asdict(idea) for idea in ideas]})


def read_ideas(path: Path) -> tuple[Idea, ...]:
    """Read what `write_ideas` wrote."""
    return tuple(
        Idea(**{**row, "edits": tuple(Edit(**edit) for edit in row["edits"])})
        for row in read_json(path)["ideas"]
    )


def with_hints(messages: Sequence[Mapping[str, str]], ideas: Sequence[str]) -> list[dict[str, str]]:
    """Return a prompt with ideas at its end."""
    *before, last = messages
    listed = "\n".join(f"{number}. {idea}" for number, idea in enumerate(ideas, start=1))
    content = f"{last['content']}\n\n{_HINT.format(ideas=listed)}"
    return [*(dict(message) for message in before), {**last, "content": content}]
