"""The reward is what the paper says, and obeys its laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlagent_gym.errors import ConfigError
from mlagent_gym.rewards import Outcome, RewardConfig, compute_gain, relative_gain, reward

scores = st.floats(-1e6, 1e6)
V1, V2 = RewardConfig("v1"), RewardConfig("v2")


@pytest.mark.parametrize(
    ("outcome", "v1", "v2"),
    [
        (Outcome.INVALID, 0.0, -1.0),
        (Outcome.FAILED, 0.0, -1.0),
        (Outcome.NON_EDIT, 0.5, 0.0),
        (Outcome.CORNER_CASE, 0.5, 0.0),
    ],
)
def test_steps_that_are_not_scored_have_fixed_rewards(outcome, v1, v2):
    assert reward(outcome, 123.0, V1) == v1
    assert reward(outcome, 123.0, V2) == v2


@given(scores, scores, scores)
def test_no_change_has_the_neutral_value(score, m_init, m_best):
    gain = compute_gain(score, score, m_init=m_init, m_best=m_best, higher_is_better=True)
    assert reward(Outcome.SCORED, gain, V1) == 0.5
    assert reward(Outcome.SCORED, gain, V2) == 0.0


@given(scores, scores, scores, scores)
def test_the_gain_flips_with_the_direction_of_the_metric(before, after, m_init, m_best):
    up = compute_gain(before, after, m_init=m_init, m_best=m_best, higher_is_better=True)
    down = compute_gain(-before, -after, m_init=-m_init, m_best=-m_best, higher_is_better=False)
    assert up == down
    assert up == 0 or (up > 0) == (after > before)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_rewards_are_bounded_and_grow_with_the_gain(a, b):
    low, high = sorted((a, b))
    for config, least in ((V1, 0.0), (V2, -1.0)):
        rewards = [reward(Outcome.SCORED, gain, config) for gain in (low, high)]
        assert least <= rewards[0] <= rewards[1] <= 1.0


def test_v1_is_the_papers_sigmoid():
    gain = compute_gain(0.70, 0.71, m_init=0.5, m_best=1.0, higher_is_better=True)
    assert gain == pytest.approx(0.02)
    assert reward(Outcome.SCORED, gain, V1) == pytest.approx(0.8807970779778823)


def test_a_crowded_board_does_not_blow_up_the_gain():
    gain = compute_gain(0.9, 0.91, m_init=0.9, m_best=0.9, higher_is_better=True, floor=0.01)
    assert gain == pytest.approx(1.111, 0.01)


def test_relative_gain_is_signed_by_direction():
    assert relative_gain(20209, m_init=22450, higher_is_better=False) == pytest.approx(0.0998, 1e-3)
    assert relative_gain(0.6888, m_init=0.518, higher_is_better=True) == pytest.approx(0.3297, 1e-3)


def test_a_wrong_reward_is_refused():
    with pytest.raises(ConfigError, match="v1, v2"):
        RewardConfig("v9")
    with pytest.raises(ConfigError, match="alpha"):
        RewardConfig(alpha=0)
