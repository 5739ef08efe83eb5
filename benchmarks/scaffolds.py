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

from benchmarks.protocol import Protocol
from mlagent_gym import Record

__all__ = ["SCAFFOLDS", "Node", "journal_of", "next_node"]


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
    seconds: float = 0.0
    """Of the step."""

    @classmethod
    def of(cls, step: int, record: Record) -> Node:
        """Make a node from the record of a step."""
        info = record.info
        graded = info["outcome"] in ("scored", "non_edit")
        return cls(
            step,
            int(info["parent"]),
            score=info["score"] if graded else None,
            failed=not graded,
            ended=record.terminated or record.truncated,
            seconds=record.next_state.elapsed_s - record.state.elapsed_s,
        )


Scaffold = Callable[[Sequence[Node], bool, random.Random], Node | None]


def journal_of(records: Sequence[Record]) -> list[Node]:
    """Return the states that some steps went through, the start first."""
    initial = records[0].info["initial_score"] if records else None
    start = Node(0, -1, initial, failed=False, ended=False)
    return [start, *(Node.of(step, record) for step, record in enumerate(records, start=1))]


def next_node(
    protocol: Protocol, name: str, records: Sequence[Record], higher_is_better: bool
) -> Node | None:
    """Return the state a trajectory goes on from; None if it is finished.

    Parameters
    ----------
    protocol
        Says how long trajectories are, and which scaffold chooses.
    name
        Of the trajectory; seeds the choice.
    records
        Its steps so far.
    higher_is_better
        Direction of the metric.
    """
    journal = journal_of(records)
    spent_s = sum(node.seconds for node in journal)
    if len(records) >= protocol.max_steps or spent_s >= protocol.max_seconds:
        return None
    rng = random.Random(f"{name}/{len(journal)}")
    return SCAFFOLDS[protocol.scaffold](journal, higher_is_better, rng)


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
