"""Policies: text in, text out. The scripted ones here need no model.

A policy that drives an environment::

    observation, info = env.reset(seed=0)
    policy.start(task_id, seed=0)
    while not done:
        observation, reward, terminated, truncated, info = env.step(policy.act(observation, info))
        done = terminated or truncated
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol, runtime_checkable

from mlagent_gym.actions import render
from mlagent_gym.rewards import Outcome
from mlagent_gym.tasks import MAIN_SCRIPT, Idea, load_ideas, load_task

__all__ = ["IdeaBankExpert", "NoOp", "Policy", "RandomAction"]


@runtime_checkable
class Policy(Protocol):
    """Anything that answers prompts."""

    def start(self, task_id: str, *, seed: int) -> None:
        """Forget the last episode and begin one on this task."""
        ...

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """Return a reply.

        Parameters
        ----------
        observation
            The prompt.
        info
            What the environment said beside it; a language model needs nothing of it.
        """
        ...


class NoOp:
    """Lists the workspace, again and again: the floor any policy must be above."""

    def start(self, task_id: str, *, seed: int) -> None:
        """Do nothing: there is nothing to forget."""

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """Return the same valid action without effect."""
        return render("List Files", {"dir_path": "."})


class RandomAction:
    """Draws any valid action; its edits are ideas of the task, whether or not they still fit.

    Parameters
    ----------
    ideas
        Returns the ideas of a task by its id; by default those of its folder.
    """

    def __init__(self, ideas: Callable[[str], Sequence[Idea]] | None = None):
        self._ideas_of = ideas or _folder_ideas
        self._ideas: Sequence[Idea] = ()
        self._random = random.Random()

    def start(self, task_id: str, *, seed: int) -> None:
        """Seed the draws."""
        self._ideas = self._ideas_of(task_id)
        self._random = random.Random(f"{task_id}/{seed}")

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """Return a drawn action."""
        drawn = self._random.randrange(6)
        if drawn == 0:
            return render("List Files", {"dir_path": "."})
        if drawn == 1:
            return render("Inspect Script Lines", {"script_name": MAIN_SCRIPT})
        if drawn == 2:
            return render("Execute Script", {"script_name": MAIN_SCRIPT})
        if drawn == 3:
            return render("Undo Edit Script", {"script_name": MAIN_SCRIPT})
        if drawn == 4:
            return render("Copy File", {"source": MAIN_SCRIPT, "destination": "train_copy.py"})
        return _try(self._random.choice(list(self._ideas)))


class IdeaBankExpert:
    """Tries a few ideas of the task one after another and keeps those that help.

    It draws its ideas once per episode, applies the edit of one at each step, takes an edit
    back when the run failed or the score fell, and gives its final answer in the end: the
    trajectories of the paper's exploration-enriched fine-tuning (arXiv 2505.23723, section
    3.1), without a language model.

    Parameters
    ----------
    count
        Fewest and most ideas of an episode.
    ideas
        Returns the ideas of a task by its id; by default those of its folder.
    """

    def __init__(
        self,
        count: tuple[int, int] = (1, 3),
        ideas: Callable[[str], Sequence[Idea]] | None = None,
    ):
        self._count = count
        self._ideas_of = ideas or _folder_ideas
        self._left: list[Idea] = []
        self._edited: Idea | None = None

    def start(self, task_id: str, *, seed: int) -> None:
        """Draw the ideas of an episode."""
        rng = random.Random(f"{task_id}/{seed}")
        ideas = list(self._ideas_of(task_id))
        self._left = rng.sample(ideas, min(rng.randint(*self._count), len(ideas)))
        self._edited = None

    def act(self, observation: str, info: Mapping[str, Any]) -> str:
        """Return the next idea's edit, an undo, or the final answer."""
        edited, self._edited = self._edited, None
        if edited is not None and _has_hurt(info):
            return render(
                "Undo Edit Script",
                {"script_name": edited.script},
                thought="That did not help, so I take it back.",
            )
        if not self._left:
            return render(
                "Final Answer",
                {"final_answer": "The best version so far is in place."},
                thought="I have tried my ideas.",
            )
        self._edited = self._left.pop(0)
        return _try(self._edited)


def _try(idea: Idea) -> str:
    return render(
        "Edit Script",
        {"script_name": idea.script, "edits": [asdict(edit) for edit in idea.edits]},
        thought=idea.idea,
    )


def _has_hurt(info: Mapping[str, Any]) -> bool:
    """Whether the edit just made is in place and made things worse."""
    outcome = info["outcome"]
    if outcome == Outcome.SCORED:
        return bool(info["gain"] < 0)
    return outcome in (Outcome.FAILED, Outcome.CORNER_CASE)


def _folder_ideas(task_id: str) -> Sequence[Idea]:
    return load_ideas(load_task(task_id))
