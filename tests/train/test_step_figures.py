"""mlagent_train.step_figures on rows of the pool's record."""

import json

import pytest

from mlagent_train.step_figures import grouped, read_steps, step_figures


def row(reward, *, outcome="scored", gain=0.0, run="ok", update=1, process="a", **more):
    info = {"valid": outcome != "invalid", "outcome": outcome, "gain": gain, "run_status": run}
    return {
        "purpose": "train",
        "update": update,
        "process": process,
        "reward": reward,
        "info": info if reward is not None else None,
        "env_s": 2.0,
        "queue_s": 1.0,
        "cached": False,
        **more,
    }


def test_shares_are_of_the_steps_that_were_not_lost():
    rows = [
        row(1.0, gain=0.5),
        row(0.0, gain=-3.0),
        row(0.0, outcome="failed", run="error"),
        row(0.0, outcome="invalid", run=""),
        row(None, cached=True),
    ]
    figures = step_figures(rows)
    assert (figures["samples"], figures["lost"], figures["reward"]) == (5, 1, 0.25)
    assert figures["valid"] == 0.75
    assert figures["improved"] == 0.25
    assert figures["gain"] == pytest.approx((0.5 - 1.0) / 2)
    assert figures["outcomes"] == {"failed": 0.25, "invalid": 0.25, "scored": 0.5}
    assert figures["run_statuses"] == {"error": 0.25, "no_run": 0.25, "ok": 0.5}
    assert (figures["env_s"], figures["queue_s"], figures["cached"]) == (2.0, 1.0, 0.2)
    assert figures["reward_quantiles"][0] == 0.0
    assert figures["reward_std"] == pytest.approx(0.4330127)


def test_without_a_scored_edit_there_is_no_gain():
    assert step_figures([row(0.0, outcome="invalid", run="")])["gain"] is None
    assert step_figures([row(None)])["reward"] == 0.0


def test_of_an_update_made_twice_the_last_process_counts(tmp_path):
    record = tmp_path / "rollouts.jsonl"
    rows = [
        row(0.0, update=1),
        row(0.0, update=2),
        row(1.0, update=2, process="b"),
        row(0.5, update=2, process="b", purpose="evaluate"),
        row(0.5, update=None),
    ]
    record.write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps = read_steps(record, "train")
    assert [row["reward"] for row in steps[2]] == [1.0]
    assert list(steps) == [1, 2]
    assert list(read_steps(record, "evaluate")) == [2]
    assert read_steps(tmp_path / "none", "train") == {}


def test_groups_are_in_the_order_of_their_names():
    rows = [row(1.0, task="b"), row(1.0, task="a")]
    assert list(grouped(rows, lambda row: row["task"])) == ["a", "b"]
