"""mlagent_train.trajectories: the state pool and the statistics of episodes."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mlagent_train.trajectories import draw_states, episode_stats


def row(task, content, *, reward=0.5, valid=True, gain=0.0, relative_gain=0.0):
    return {
        "task": task,
        "env_id": f"Toy/{task}-v0",
        "seed": 0,
        "state": {"seed": 0},
        "messages": [{"role": "user", "content": content}],
        "reward": reward,
        "info": {"valid": valid, "gain": gain, "relative_gain": relative_gain},
    }


@given(
    sizes=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 7), min_size=1),
    rounds=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_states_are_drawn_evenly_over_tasks_and_within_them(sizes, rounds, seed):
    states = [{"task": task, "number": n} for task, size in sizes.items() for n in range(size)]
    drawn = draw_states(states, rounds * len(sizes), seed=seed)
    assert Counter(state["task"] for state in drawn) == dict.fromkeys(sizes, rounds)
    for task, size in sizes.items():
        counts = Counter(state["number"] for state in drawn if state["task"] == task)
        assert max(counts.values()) <= -(-rounds // size)
    assert drawn == draw_states(states, rounds * len(sizes), seed=seed)


def test_statistics_are_means_over_steps_and_gains_over_episodes():
    short = [row("alpha", "a", reward=1.0, gain=0.2, relative_gain=0.4)]
    long = [row("alpha", "a", reward=0.0, valid=False), row("alpha", "b", relative_gain=0.0)]
    stats = episode_stats([short, long])
    assert (stats.episodes, stats.relative_gain) == (2, 0.2)
    assert (stats.reward, stats.valid, stats.improved) == (0.5, 2 / 3, 1 / 3)
