"""mlagent_train.metrics and scalars on event files as OpenRLHF writes them."""

import json
import time

import pytest

from mlagent_train.metrics import read_updates, updates_table
from mlagent_train.scalars import latest, read_scalars


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


def sample(update, process, reward, task="alpha"):
    info = {"valid": True, "gain": 0.5} if reward is not None else None
    return {"update": update, "process": process, "reward": reward, "task": task, "info": info}


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
    record.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = read_updates(folder, record)
    assert first["tasks"]["alpha"]["reward"] == 0.0
    assert second["tasks"]["alpha"] == {
        "samples": 2,
        "lost": 1,
        "reward": 1.0,
        "valid": 1.0,
        "improved": 1.0,
    }
    assert second["tasks"]["beta"]["samples"] == 1
    assert second["rollout/reward_mean"] == pytest.approx(0.6)
    assert updates_table([first, second]).row_count == 2
