"""The state pool: built with filters, drawn from evenly, in memory that does not grow with it."""

import contextlib
import json
import pickle
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from mlagent_gym.errors import ConfigError, RecordError, StateCorruptError, StateMismatchError
from mlagent_gym.pool import StatePool, build_pool
from mlagent_gym.records import Record, append_record
from mlagent_gym.state import State

IN, OTHER, OUT = "house-price", "spaceship-titanic", "spooky-author-identification"


def record(task=IN, step=0, prompt=None, reward=0.5, outcome="non_edit", fingerprint="f"):
    state = State(task, "synthetic", fingerprint, 7, {"train.py": "d" * 64}, step=step)
    shown = prompt or f"{task}/{step}"
    messages = [{"role": "user", "content": shown}]
    return Record(
        episode="e",
        env={},
        state=state,
        prompt=shown,
        reply="r",
        action={},
        reward=reward,
        terminated=False,
        truncated=False,
        info={"outcome": outcome},
        next_state=state,
        next_prompt="",
        messages=messages,
    )


@pytest.fixture
def build(tmp_path):
    def build(records, **filters):
        path = tmp_path / "trajectories.jsonl"
        path.write_text("".join(one.to_json() + "\n" for one in records))
        return build_pool([path], tmp_path / "pool.jsonl", **filters)

    return build


def steps_of(pool):
    return sorted(state.step for state in pool.states())


def test_states_with_the_same_prompt_on_the_same_data_are_one(build):
    pool = build([record(), record(), record(prompt="other"), record(fingerprint="g")])
    assert len(pool) == 3


def test_a_state_is_kept_as_often_as_it_was_met_when_asked_for(build):
    pool = build([record(), record(), record(step=1)], repeats=True)
    assert steps_of(pool) == [0, 0, 1]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"steps": (1, 2)}, [1, 2]),
        ({"rewards": (0.6, 1.0)}, [2]),
        ({"valid_only": True}, [0, 2, 3]),
        ({"tasks": [OTHER]}, [3]),
    ],
)
def test_filters_choose(build, filters, expected):
    records = [
        record(),
        record(step=1, outcome="invalid", reward=0.0),
        record(step=2, reward=0.9),
        record(OTHER, step=3),
    ]
    assert steps_of(build(records, **filters)) == expected


def test_filters_that_leave_nothing_are_an_error_and_leave_no_file(build, tmp_path):
    with pytest.raises(ConfigError, match="passes the filters"):
        build([record()], tasks=[])
    assert not list(tmp_path.glob("*pool*"))


def test_held_out_tasks_are_refused_unless_named(build):
    with pytest.raises(ConfigError, match="held out"):
        build([record(), record(OUT)])
    with pytest.raises(ConfigError, match="held out"):
        build([record(), record(OUT)], held_out=["leaf-classification"])
    assert len(build([record(), record(OUT)], tasks=[IN])) == 1
    assert len(build([record(), record(OUT)], held_out=[OUT])) == 2


def test_a_damaged_trajectory_is_an_error(tmp_path):
    append_record(tmp_path / "a.jsonl", record())
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("{}\n")
    with contextlib.suppress(StateCorruptError), pytest.raises(RecordError):
        build_pool([tmp_path / "a.jsonl"], tmp_path / "pool.jsonl")
    assert not (tmp_path / "pool.jsonl").exists()


def test_what_is_drawn_evenly_can_be_chosen(build):
    records = [record(prompt=str(i)) for i in range(90)]
    records += [record(step=1, prompt=f"1/{i}") for i in range(9)] + [record(OTHER)]
    pool = build(records)
    expected = {
        "states": {(IN, 0): 0.9, (IN, 1): 0.09, (OTHER, 0): 0.01},
        "tasks": {(IN, 0): 0.5 * 90 / 99, (IN, 1): 0.5 * 9 / 99, (OTHER, 0): 0.5},
        "steps": {(IN, 0): 1 / 3, (IN, 1): 1 / 3, (OTHER, 0): 1 / 3},
    }
    for balance, shares in expected.items():
        rng = np.random.default_rng(0)
        drawn = [StatePool(pool.path, balance).draw(rng) for _ in range(2000)]
        counts = Counter((state.task, state.step) for state in drawn)
        for key, share in shares.items():
            assert counts[key] / 2000 == pytest.approx(share, abs=0.05)


def test_every_state_of_a_stratum_is_drawn(build):
    pool = build([record(prompt=str(i), fingerprint=f"f{i % 2}") for i in range(20)])
    rng = np.random.default_rng(1)
    seen = {pool.draw(rng, fingerprint="f1").fingerprint for _ in range(50)}
    assert seen == {"f1"}


def test_the_generator_decides(build):
    pool = build([record(step=i) for i in range(15)])
    draws = [
        [pool.draw(rng).step for _ in range(20)] for rng in map(np.random.default_rng, (3, 3, 4))
    ]
    assert draws[0] == draws[1] != draws[2]


def test_a_task_that_is_not_there_is_named(build):
    with pytest.raises(StateMismatchError, match=f"no state of task {OTHER}.*It has: {IN}"):
        build([record()]).draw(np.random.default_rng(0), task=OTHER)
    with pytest.raises(ConfigError, match="no state pool"):
        len(StatePool("nowhere.jsonl"))
    with pytest.raises(ConfigError, match="evenly"):
        StatePool("nowhere.jsonl", "evenly")


def test_statistics_count_by_task_variant_and_step(build):
    pool = build([record(), record(step=1), record(step=1, prompt="x"), record(OTHER)])
    assert pool.statistics() == {
        "states": 4,
        "tasks": {
            IN: {"states": 3, "variants": {"synthetic": 3}, "steps": {0: 1, 1: 2}},
            OTHER: {"states": 1, "variants": {"synthetic": 1}, "steps": {0: 1}},
        },
    }


def test_the_index_follows_the_file_and_can_be_lost(build):
    pool = build([record()])
    index = pool.path.with_name("pool.jsonl.index")
    for damage in (b"", b"{}\n", index.read_bytes()[:-1], b"\xff" * 50):
        index.write_bytes(damage)
        assert StatePool(pool.path).draw(np.random.default_rng(0)) == record().state
    with pool.path.open("a") as file:
        state = json.loads(record(OTHER).state.to_json())
        file.write(json.dumps({"state": state}) + "\n")
    assert [stratum.task for stratum in pool.strata] == [IN, OTHER]


def test_a_damaged_line_is_an_error_when_it_is_read(build):
    pool = build([record()])
    pool.path.write_text("x" * (pool.path.stat().st_size - 1) + "\n")
    with pytest.raises(StateCorruptError, match="no line of one"):
        pool.draw(np.random.default_rng(0))


def test_a_pool_can_be_pickled(build):
    pool = build([record()])
    assert pickle.loads(pickle.dumps(pool)) == pool


def test_messages_are_kept_when_asked_for(build):
    (entry,) = build([record()], keep_messages=True).entries()
    assert entry["messages"] == [{"role": "user", "content": f"{IN}/0"}]
    assert entry["state"] == json.loads(record().state.to_json())
    (entry,) = build([record()]).entries()
    assert "messages" not in entry


def test_ten_thousand_states_are_drawn_in_constant_memory(build):
    peaks = []
    for size in (100, 10_000):
        pool = build(record(step=i % 15, prompt=str(i)) for i in range(size))
        assert len(pool) == size
        rng = np.random.default_rng(0)
        pool.draw(rng)
        tracemalloc.start()
        for _ in range(100):
            pool.draw(rng)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 10_000


def test_it_is_a_dataset_too(build):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    table = build([record(), record(step=1)]).to_dataset()
    assert table["step"] == [0, 1]
    assert State.from_json(table["state"][1]) == record(step=1).state
