"""Which state of a trajectory is continued next.

The MLAB scaffold goes on from the last state, as an episode does. The tree search keeps a
journal of all states and goes back to the one that promises most: it drafts a few times
from the starter, repairs what failed, and else improves the best (after AIDE,
arXiv 2502.13138). It rests on the environment's reset from a state.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = ["SCAFFOLDS", "Node"]


@dataclass(frozen=True)
class Node:
    """One state of a trajectory."""

    step: int
    """0 for the start."""
    parent: int
    """Step whose state was continued; -1 for the start."""
    score: float | None
    """Score of the step's own run; None if it has none."""
    failed: bool
    """Whether the step's script failed or was no action."""
    ended: bool
    """Whether the episode ended here."""

    @classmethod
    def of(cls, step: int, parent: int, info: Mapping[str, Any], ended: bool) -> Node:
        """Make a node from a step's info."""
        graded = info["outcome"] in ("", "scored", "non_edit")
        return cls(step, parent, info["score"] if graded else None, not graded, ended)


Scaffold = Callable[[Sequence[Node], bool, random.Random], Node | None]


def last_state(journal: Sequence[Node], higher_is_better: bool, rng: random.Random) -> Node | None:
    """Go on from the last state until the episode ends."""
    return None if journal[-1].ended else journal[-1]


def tree_search(
    journal: Sequence[Node],
    higher_is_better: bool,
    rng: random.Random,
    *,
    drafts: int = 3,
    repair_share: float = 0.5,
) -> Node | None:
    """Draft from the start, repair a failure, or improve the best, in this order."""
    start, *rest = journal
    if sum(node.parent == start.step for node in rest) < drafts:
        return start
    parents = {node.parent for node in rest}
    broken = [node for node in rest if node.failed and node.step not in parents and not node.ended]
    if broken and rng.random() < repair_share:
        return rng.choice(broken)
    open_nodes = [node for node in journal if node.score is not None and not node.ended]
    sign = 1.0 if higher_is_better else -1.0
    return max(open_nodes, key=lambda node: sign * (node.score or 0.0), default=start)


SCAFFOLDS: Mapping[str, Scaffold] = MappingProxyType({"mlab": last_state, "tree": tree_search})
"""The scaffolds by name."""
