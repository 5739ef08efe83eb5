"""mlagent_train.metrics and scalars on event files as OpenRLHF writes them."""

import json
import time

import pytest

from mlagent_train.metrics import read_evaluations, read_updates, updates_table
from mlagent_train.scalars import ScalarLog, latest, read_scalars


@pytest.fixture
def log(tmp_path):
    """Write scalars of some steps as one process would; return the folder."""
    from torch.utils.tensorboard import SummaryWriter

    def write(steps):
        with SummaryWriter(str(tmp_path / "events")) as writer:
            for step, values in steps.items():
                for name, value in values.items():
                    writer.add_scalar(f"train/{name}", value, step)
        time.sleep(1.1)  # event files are named by the second
        return tmp_path / "events"

    return write


def sample(update, process, reward, task="alpha", **more):
    info = {"valid": True, "gain": 0.5, "outcome": "scored", "action": "Edit Script"}
    return {
        "purpose": "train",
        "update": update,
        "process": process,
        "reward": reward,
        "task": task,
        "info": info if reward is not None else None,
        **more,
    }


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_of_a_step_logged_twice_the_newer_counts(log):
    log({1: {"reward": 0.1}, 2: {"reward": 0.2}, 3: {"reward": 0.3}})
    folder = log({3: {"reward": 0.9}})
    assert read_scalars(folder)[3]["train/reward"] == pytest.approx(0.9)
    assert latest(read_scalars(folder), "train/reward") == (3, pytest.approx(0.9))


def test_a_folder_that_is_not_there_has_no_steps(tmp_path):
    assert read_scalars(tmp_path / "none") == {}
    assert latest({}, "train/reward")[0] == 0


def test_what_a_killed_process_did_for_an_update_made_again_does_not_count(log, tmp_path):
    folder = log({1: {"rollout/reward_mean": 0.4}, 2: {"rollout/reward_mean": 0.6}})
    record = tmp_path / "rollouts.jsonl"
    rows = [
        sample(1, "a", 0.0),
        sample(2, "a", 0.0),
        sample(2, "b", 1.0),
        sample(2, "b", None),
        sample(2, "b", 0.5, task="beta"),
        sample(None, "b", 1.0),
    ]
    write(record, rows)
    first, second = read_updates(folder, record)
    assert first["tasks"]["alpha"]["reward"] == 0.0
    alpha = second["tasks"]["alpha"]
    assert (alpha["samples"], alpha["lost"], alpha["reward"]) == (2, 1, 1.0)
    assert second["actions"]["Edit Script"]["samples"] == 2  # the lost step has no action
    assert second["tasks"]["beta"]["samples"] == 1
    assert second["rollout/reward_mean"] == pytest.approx(0.6)
    assert updates_table([first, second]).row_count == 2


def test_scalars_are_read_on_as_the_files_grow(log, tmp_path):
    reader = ScalarLog(tmp_path / "events")
    assert reader.read() == {}
    log({1: {"reward": 0.1}})
    assert list(reader.read()) == [1]
    log({2: {"reward": 0.2}})
    assert reader.read()[2]["train/reward"] == pytest.approx(0.2)
    assert list(reader.read()) == [1, 2]


def evaluation_step(update, row, turn, gain, ended=""):
    """Return a step of episode 0, held-in, or 1, held-out; `ended` says how it was the last."""
    task, split = (("alpha", "held-in"), ("beta", "held-out"))[row]
    more = {"purpose": "evaluate", "row": row, "turn": turn, "split": split}
    more |= {"terminated": ended == "terminated", "truncated": ended == "truncated"}
    step = sample(update, "a", None if ended == "lost" else 0.5, task, **more)
    if step["info"]:
        step["info"]["relative_gain"] = gain
    return step


def write_evaluation_rows(path):
    """Ask for episodes 0 and 1, of two steps at most."""
    labels = [{"tags": {"row": row}, "evaluate": {"max_steps": 2}} for row in (0, 1)]
    write(path, [{"label": json.dumps(label)} for label in labels])


@pytest.fixture
def evaluated(tmp_path):
    """A folder with two whole evaluations and one that a kill cut short."""
    rows = [
        step
        for update, gain in ((2, 0.1), (4, 0.3))
        for step in (
            evaluation_step(update, 0, 0, 0.0),
            evaluation_step(update, 0, 1, gain),
            evaluation_step(update, 1, 0, -gain, "terminated"),
        )
    ]
    rows.append(evaluation_step(6, 0, 0, 0.9, "terminated"))
    write(tmp_path / "rollouts.jsonl", rows)
    write_evaluation_rows(tmp_path / "evaluation.jsonl")
    return tmp_path


def test_an_evaluation_is_of_whole_episodes_by_split_and_task(evaluated):
    results = read_evaluations(evaluated)
    assert list(results) == [2, 4]  # a part of an evaluation is none
    assert results[4]["splits"]["held-in"]["relative_gain"] == pytest.approx(0.3)
    assert results[4]["splits"]["held-out"]["relative_gain"] == pytest.approx(-0.3)
    assert results[2]["tasks"]["alpha"]["episodes"] == 1


@pytest.mark.parametrize(
    ("last", "whole"),
    [
        ([(0, "")], False),  # cut by a kill before its second step
        ([(0, "terminated")], True),
        ([(0, "truncated")], True),
        ([(0, ""), (1, "")], True),
        ([(0, ""), (1, "lost")], True),
    ],
)
def test_an_evaluation_counts_once_each_of_its_episodes_is_over(last, whole, tmp_path):
    rows = [evaluation_step(2, 0, 0, 0.0), evaluation_step(2, 0, 1, 0.1)]
    rows += [evaluation_step(2, 1, turn, 0.2, ended) for turn, ended in last]
    write(tmp_path / "rollouts.jsonl", rows)
    write_evaluation_rows(tmp_path / "evaluation.jsonl")
    assert (2 in read_evaluations(tmp_path)) is whole


def test_an_evaluation_stands_in_the_row_of_its_update(evaluated, log):
    events = log({1: {"kl": 0.0}, 2: {"kl": 0.1}})
    first, second = read_updates(events, evaluated / "rollouts.jsonl", read_evaluations(evaluated))
    assert "evaluation" not in first
    assert set(second["evaluation"]["splits"]) == {"held-in", "held-out"}


def test_without_evaluation_rows_there_are_no_evaluations(tmp_path):
    assert read_evaluations(tmp_path) == {}
