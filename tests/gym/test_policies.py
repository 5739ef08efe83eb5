"""mlagent_gym.policies: scripted policies answer with valid actions, and the expert is one."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlagent_gym import ACTIONS, IdeaBankExpert, NoOp, Outcome, Policy, RandomAction, parse
from mlagent_gym.tasks import Edit, Idea

IDEAS = [
    Idea(f"idea-{n}", f"Try {n}.", (Edit(f"KNOB = {n}", f"KNOB = {n + 1}"),)) for n in range(5)
]
START = {"outcome": "", "gain": 0.0}


def bank(_task_id):
    return IDEAS


def searched(reply):
    """Return which idea an edit tries; None for another action."""
    action = parse(reply)
    return action.edits[0].search if action.name == "Edit Script" else None


@pytest.mark.parametrize("policy", [NoOp(), RandomAction(bank), IdeaBankExpert(ideas=bank)])
def test_every_scripted_policy_is_a_policy_and_names_real_actions(policy):
    assert isinstance(policy, Policy)
    policy.start("any", seed=1)
    for _ in range(30):
        assert parse(policy.act("prompt", START)).name in ACTIONS


@given(seed=st.integers(0, 10_000))
def test_draws_are_those_of_the_seed(seed):
    for make in (RandomAction, lambda ideas: IdeaBankExpert(ideas=ideas)):
        replies = []
        for _ in range(2):
            policy = make(bank)
            policy.start("any", seed=seed)
            replies.append([policy.act("prompt", START) for _ in range(6)])
        assert replies[0] == replies[1]


@given(seed=st.integers(0, 10_000), most=st.integers(1, 7))
def test_the_expert_tries_each_drawn_idea_once_and_then_ends(seed, most):
    expert = IdeaBankExpert((1, most), bank)
    expert.start("any", seed=seed)
    tried = []
    helped = {"outcome": Outcome.SCORED, "gain": 0.1}
    while (idea := searched(reply := expert.act("prompt", helped))) is not None:
        tried.append(idea)
    assert parse(reply).name == "Final Answer"
    assert len(tried) == len(set(tried))
    assert 1 <= len(tried) <= min(most, len(IDEAS))


@pytest.mark.parametrize(
    ("outcome", "gain", "taken_back"),
    [
        (Outcome.SCORED, -0.1, True),
        (Outcome.FAILED, 0.0, True),
        (Outcome.CORNER_CASE, 0.0, True),
        (Outcome.SCORED, 0.1, False),
        (Outcome.SCORED, 0.0, False),
        (Outcome.INVALID, 0.0, False),
    ],
)
def test_the_expert_takes_back_what_hurt(outcome, gain, taken_back):
    expert = IdeaBankExpert((2, 2), bank)
    expert.start("any", seed=0)
    first = searched(expert.act("prompt", START))
    answer = expert.act("prompt", {"outcome": outcome, "gain": gain})
    assert (parse(answer).name == "Undo Edit Script") is taken_back
    undone = {"outcome": Outcome.NON_EDIT, "gain": 0.0}
    second = searched(expert.act("prompt", undone) if taken_back else answer)
    assert second not in (None, first)


def test_the_ideas_of_a_task_folder_are_the_default():
    expert = IdeaBankExpert()
    expert.start("house-price", seed=0)
    assert searched(expert.act("prompt", START)) is not None


def test_copies_of_random_actions_hide_no_module_of_the_standard_library():
    policy = RandomAction(bank)
    policy.start("any", seed=0)
    actions = [parse(policy.act("prompt", START)) for _ in range(100)]
    names = {Path(a.destination).stem for a in actions if a.name == "Copy File"}
    assert names and names.isdisjoint(sys.stdlib_module_names)
