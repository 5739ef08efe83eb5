"""mlagent_train.envs.pool on real Ray workers with an environment that fails in every way."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlagent_train.envs.pool import start_pool
from mlagent_train.envs.settings import PoolSettings
from mlagent_train.envs.stepping import StepRequest
from mlagent_train.errors import MachineError, TooManyFaultsError

ALPHA = "toy_env:Toy/alpha-v0"
PATIENCE_S = {"hang": 10.0}
"""What is waited for on purpose; all other steps have as long as a busy machine may need."""


@pytest.fixture
def pool_of(cluster, end_pool):
    """Start a pool with settings, in place of the one before."""

    def start(**settings):
        end_pool()
        defaults = {"slots": 2, "cpus_per_slot": 1.0, "retries": 2}
        return start_pool(PoolSettings(**{**defaults, **settings}))

    yield start
    end_pool()


@pytest.fixture
def step(cluster):
    """Run replies through a pool, all at once."""

    def run(pool, replies, **request):
        return cluster.get(
            [
                pool.step.remote(StepRequest(ALPHA, reply, **request), {"task": "alpha"})
                for reply in replies
            ]
        )

    return run


def replies(edit, count):
    return [edit("LR = 0.1", f"LR = {number}") for number in range(count)]


def test_steps_are_answered(pool_of, step, edit):
    better, worse, looked = step(
        pool_of(), [edit("LR = 0.1", "LR = 0.01"), edit("LR = 0.2", "LR = 1"), "Action: none"]
    )
    assert (better.result.reward, better.result.info["outcome"]) == (1.0, "scored")
    assert (worse.result.reward, worse.result.info["valid"]) == (0.0, False)
    assert looked.result.info["outcome"] == "invalid"
    assert better.fault == ""


def test_an_equal_step_is_answered_from_memory(pool_of, step, edit, cluster):
    pool = pool_of()
    reply = edit("LR = 0.1", "LR = 0.01")
    first, again = step(pool, [reply, "Thought: other words.\n" + reply.split("\n", 1)[1]])
    assert sorted([first.cached, again.cached]) == [False, True]
    assert first.result == again.result
    assert cluster.get(pool.counts.remote())["cached"] == 1


@pytest.mark.parametrize("fault", ["raise", "die", "hang", "garbage"])
def test_a_fault_that_does_not_return_is_retried_on_another_worker(
    fault, pool_of, step, edit, tmp_path
):
    patience = PATIENCE_S.get(fault, 600)
    marks = {"fault": fault, "marks": str(tmp_path)}
    pool = pool_of(env_kwargs=marks, slots=3, step_timeout_s=patience)
    outcomes = step(pool, replies(edit, 3))
    assert [outcome.result.reward for outcome in outcomes] == [0.5] * 3
    assert {outcome.attempts for outcome in outcomes} == {2}
    assert {outcome.fault for outcome in outcomes} == {""}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("raise", "raised"), ("die", "died"), ("hang", "timeout"), ("garbage", "garbage")],
)
def test_a_fault_that_stays_is_reported_and_counted(fault, kind, pool_of, step, edit, cluster):
    patience = 4 if fault == "hang" else 600  # nothing that hangs has to answer here
    pool = pool_of(env_kwargs={"fault": fault}, retries=1, step_timeout_s=patience, fault_window=64)
    (outcome,) = step(pool, replies(edit, 1))
    assert outcome.result is None
    assert (outcome.fault, outcome.attempts) == (kind, 2)
    counts = cluster.get(pool.counts.remote())
    assert (counts["lost"], counts[f"lost_{kind}"], counts[f"attempts_{kind}"]) == (1, 1, 2)


def test_the_others_are_not_held_up_by_a_step_that_hangs(pool_of, step, edit, cluster):
    hang = {"fault": "hang", "fault_every": 3}
    pool = pool_of(env_kwargs=hang, retries=0, step_timeout_s=PATIENCE_S["hang"])
    outcomes = step(pool, replies(edit, 12))
    lost = [outcome for outcome in outcomes if outcome.fault]
    assert {outcome.fault for outcome in lost} == {"timeout"}
    assert 0 < len(lost) < 12
    counts = cluster.get(pool.counts.remote())
    assert (counts["steps"], counts["lost"]) == (12, len(lost))


def test_a_garbled_answer_is_garbage_whatever_is_wrong_with_it(toy, edit, monkeypatch):
    from mlagent_train.envs.stepping import GarbageError, Stepper

    reply = edit("LR = 0.1", "LR = 1")
    good = toy.KnobsEnv("alpha")
    good.reset(seed=0)
    _, reward, _, _, info = good.step(reply)
    garbled = [
        None,
        ("", reward),
        ("", "much", False, False, info),
        ("", float("inf"), False, False, info),
        ("", reward, False, False, {}),
        ("", reward, False, False, {**info, "messages": [None]}),
        ("", reward, False, False, {**info, "resources": "none"}),
    ]
    for answer in garbled:
        monkeypatch.setattr(toy.KnobsEnv, "step", lambda _self, _reply, answer=answer: answer)
        with pytest.raises(GarbageError):
            Stepper({}).run(StepRequest(ALPHA, reply))


def test_too_many_faults_stop_every_caller(pool_of, step, edit):
    pool = pool_of(env_kwargs={"fault": "raise"}, retries=0, max_fault_share=0.5, fault_window=4)
    with pytest.raises(TooManyFaultsError, match="3 of the last 3"):
        for number in range(6):
            step(pool, [edit("LR = 0.1", f"LR = {number}")])


def test_a_worker_killed_from_outside_is_replaced(pool_of, step, edit, cluster):
    pool = pool_of(slots=1)
    for worker in cluster.get(pool.workers.remote()):
        os.kill(worker.pid, signal.SIGKILL)
    (outcome,) = step(pool, replies(edit, 1))
    assert outcome.result is not None
    assert cluster.get(pool.counts.remote())["workers_replaced"] == 1


def test_a_step_meets_no_more_than_one_of_several_dead_workers(pool_of, step, edit, cluster):
    pool = pool_of(slots=3, retries=1)
    for worker in cluster.get(pool.workers.remote()):
        os.kill(worker.pid, signal.SIGKILL)
    (outcome,) = step(pool, replies(edit, 1))
    assert (outcome.result is not None, outcome.attempts) == (True, 2)
    assert cluster.get(pool.counts.remote())["workers_replaced"] == 3


def test_workers_that_cannot_start_end_the_pool(pool_of):
    with pytest.raises(MachineError, match="env_slot"):
        pool_of(slots=1, cpus_per_slot=1000.0, start_timeout_s=1.0)


def test_the_record_is_remembered_by_the_next_pool(pool_of, step, edit, tmp_path, cluster):
    record = tmp_path / "rollouts.jsonl"
    first = step(pool_of(record=str(record)), replies(edit, 2))
    record.write_text(record.read_text() + '{"cut by a ki')
    pool = pool_of(record=str(record))
    second = step(pool, replies(edit, 2))
    assert [o.result.reward for o in second] == [o.result.reward for o in first]
    assert all(outcome.cached for outcome in second)
    lines = [line for line in record.read_text().splitlines() if line.endswith("}")]
    rows = [json.loads(line) for line in lines]
    assert [row["cached"] for row in rows] == [False, False, True, True]
    assert {row["task"] for row in rows} == {"alpha"}


def test_evaluations_of_asynchronous_training_name_the_update_they_are_of(python_path):
    cases = [(2, 1, 0), (1, 1, 0), (3, 2, 0), (2, 1, 4)]
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("async_loops.py")), json.dumps(cases)],
        env={**os.environ, "PYTHONPATH": python_path, "MLAGENT_ROLLOUT_ENGINE": "transformers"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    for case, evaluations in zip(cases, found, strict=True):
        assert len(evaluations) >= 2, case
        assert all(evaluated == written for evaluated, written in evaluations), (case, evaluations)
