"""The tree search drafts, repairs and improves, in this order."""

import random
import types

from benchmarks.scaffolds import Node, last_state, tree_search

START = Node(0, -1, 0.5, failed=False, ended=False)


def node(step, parent, score=None, *, failed=False, ended=False):
    return Node(step, parent, score, failed=failed, ended=ended)


def pick(journal, higher_is_better=True, **more):
    return tree_search(journal, higher_is_better, random.Random(0), **more)


def test_the_linear_scaffold_goes_on_until_the_end():
    rng = random.Random(0)
    assert last_state([START, node(1, 0, 0.6)], True, rng).step == 1
    assert last_state([START, node(1, 0, 0.6, ended=True)], True, rng) is None


def test_the_tree_drafts_from_the_start_first():
    journal = [START, node(1, 0, 0.9), node(2, 0, 0.8)]
    assert pick(journal) is START
    assert pick([*journal, node(3, 0, 0.7)]).step == 1


def test_the_tree_improves_the_best_in_the_direction_of_the_metric():
    journal = [START, node(1, 0, 0.9), node(2, 0, 0.1), node(3, 0, 0.7)]
    assert pick(journal).step == 1
    assert pick(journal, higher_is_better=False).step == 2


def test_the_tree_repairs_a_failure_once():
    journal = [START, node(1, 0, 0.9), node(2, 0, failed=True), node(3, 0, 0.7)]
    assert pick(journal, repair_share=1.0).step == 2
    assert pick([*journal, node(4, 2, failed=False, score=0.6)], repair_share=1.0).step == 1


def test_the_tree_never_goes_on_from_an_end():
    journal = [START, *(node(n, 0, 0.9, ended=True) for n in (1, 2, 3))]
    assert pick(journal) is START


def test_the_score_of_a_step_that_was_not_graded_is_not_its_own():
    failed = Node.of(1, record("failed"))
    assert failed.score is None
    assert failed.failed
    scored = Node.of(1, record("scored"))
    assert scored.score == 0.9
    assert not scored.failed
    assert scored.seconds == 2.0


def record(outcome):
    return types.SimpleNamespace(
        info={"score": 0.9, "outcome": outcome, "parent": 0},
        terminated=False,
        truncated=False,
        state=types.SimpleNamespace(elapsed_s=1.0),
        next_state=types.SimpleNamespace(elapsed_s=3.0),
    )
