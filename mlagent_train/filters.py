"""Which of an expert's trajectories are good enough to learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mlagent_train.diversity import TFIDF, embed, unlike_earlier

__all__ = ["Filtered", "filter_trajectories"]

Trajectory = list[dict[str, Any]]

NOT_PARSED = "a reply is no action"
NO_EDIT = "no successful edit"
TOO_LONG = "longer than sft.max_tokens"
NEAR_DUPLICATE = "near-duplicate"

_EDITS = ("Edit Script", "Edit Script (AI)")


@dataclass(frozen=True)
class Filtered:
    """What passed, and how many did not."""

    kept: list[Trajectory]
    dropped: dict[str, int]
    """Trajectories by the first reason to drop them."""


def filter_trajectories(
    trajectories: Sequence[Trajectory],
    *,
    max_similarity: float,
    fits: Callable[[Trajectory], bool] = lambda trajectory: True,
) -> Filtered:
    """Keep the trajectories whose every reply is an action and that have a successful edit.

    An edit is successful if its run was scored, for better or worse: taking back what did
    not help is worth learning too (arXiv 2505.23723, section 3.1 and appendix).

    Parameters
    ----------
    trajectories
        Decoded records, as `read_trajectories` yields them.
    max_similarity
        A trajectory is dropped if what it did is more similar to an earlier one of the same
        task; 1: none is.
    fits
        Whether a trajectory is within the token budget.
    """
    dropped: Counter[str] = Counter()
    passed: dict[str, list[Trajectory]] = {}
    for trajectory in trajectories:
        if reason := _reason(trajectory, fits):
            dropped[reason] += 1
        else:
            passed.setdefault(trajectory[0]["task"], []).append(trajectory)
    kept: list[Trajectory] = []
    for rows in passed.values():
        texts = ["\n".join(row["reply"] for row in trajectory) for trajectory in rows]
        unlike = unlike_earlier(embed(texts, TFIDF), max_similarity)
        kept += [rows[number] for number in unlike]
        dropped[NEAR_DUPLICATE] += len(rows) - len(unlike)
    return Filtered(kept, {reason: count for reason, count in dropped.items() if count})


def _reason(trajectory: Trajectory, fits: Callable[[Trajectory], bool]) -> str:
    if any(row["action"]["name"] == "Invalid" for row in trajectory):
        return NOT_PARSED
    if not any(_is_successful_edit(row) for row in trajectory):
        return NO_EDIT
    return "" if fits(trajectory) else TOO_LONG


def _is_successful_edit(row: dict[str, Any]) -> bool:
    return row["action"]["name"] in _EDITS and row["info"]["outcome"] == "scored"
