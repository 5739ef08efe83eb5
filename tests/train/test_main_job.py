"""The main job on real environments at a very small size, killed piece by piece on its way."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

pytestmark = [pytest.mark.train, pytest.mark.timeout(1500)]

TRAJECTORIES, UPDATES, STATES, EPISODES = 4, 3, 4, 2

SETTINGS = {
    "tasks.held_in": '["spaceship-titanic"]',
    "tasks.held_out": '["spooky-author-identification"]',
    "collect.trajectories_per_task": TRAJECTORIES,
    "model.tiny": "{vocab_size = 512, hidden_size = 32, layers = 2, heads = 2, kv_heads = 2}",
    "sft.epochs": 1,
    "sft.batch_size": 4,
    "sft.micro_batch_size": 4,
    "sft.save_every_updates": 1,
    "rollout.max_new_tokens": 24,
    "rollout.micro_batch_size": 4,
    "ppo.updates": UPDATES,
    "ppo.states_per_update": STATES,
    "ppo.batch_size": STATES,
    "ppo.micro_batch_size": STATES,
    "ppo.epochs": 1,
    "ppo.save_every_updates": 1,
    "evaluate.episodes_per_task": EPISODES,
    "evaluate.max_steps": 1,
    "workers.slots": 2,
}


@pytest.fixture
def main_job(tmp_path, python_path):
    """Start the main job as a user would; return the process."""
    run = ["--run", str(tmp_path / "run")]
    settings = [f"--set={key}={value}" for key, value in SETTINGS.items()]

    def start():
        log = (tmp_path / "main.log").open("a")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "mlagent_train.ppo", *run, *settings],
                env={**os.environ, "PYTHONPATH": python_path},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    yield start
    for process in of_the_run(tmp_path):
        process.kill()


def of_the_run(folder):
    """Return the processes that name the run's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in word for word in process.cmdline()[1:]):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid != os.getpid()]


def until(true, process, folder):
    """Wait until something is true of a job that is running."""
    while not true():
        assert process.poll() is None, (folder / "main.log").read_text()
        time.sleep(0.05)


def kill(process, folder):
    """Kill the job; return once all it started is gone."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 60
    while left := of_the_run(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def actors(process, name):
    """Return the Ray actors of a class that a job has started."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if " ".join(child.cmdline()).startswith(f"ray::{name}"):
                found.append(child)
    return found


def jsonl(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_killed_main_job_ends_with_the_same_results(main_job, tmp_path):
    run = tmp_path / "run"
    trajectories, checkpoint = run / "collect" / "trajectories", run / "ppo" / "checkpoints"
    latest = checkpoint / "_critic" / "latest"

    first = main_job()
    until((trajectories / "spaceship-titanic-00000.jsonl").exists, first, tmp_path)
    kill(first, tmp_path)
    kept = {path: path.read_bytes() for path in trajectories.glob("*.jsonl")}

    second = main_job()
    until(lambda: len(list(trajectories.glob("*.jsonl"))) > len(kept), second, tmp_path)
    actors(second, "EnvWorker")[0].kill()  # the job goes on
    until(latest.exists, second, tmp_path)
    (engine,) = actors(second, "RolloutRayActor")
    engine.kill()  # the job cannot, and says so
    assert second.wait() != 0
    said = (tmp_path / "main.log").read_text()
    assert "run the same command to go on from there" in " ".join(said.split())
    assert "ActorDiedError" in said
    assert "died" in (run / "collect" / "trajectories.log").read_text()

    third, before = main_job(), latest.read_text()
    until(lambda: latest.read_text() != before, third, tmp_path)
    kill(third, tmp_path)

    last = main_job()
    assert last.wait() == 0, (tmp_path / "main.log").read_text()

    assert len(list((run / "collect" / "trajectories").glob("*.jsonl"))) == TRAJECTORIES
    assert all(path.read_bytes() == content for path, content in kept.items())
    states = jsonl(run / "collect" / "states.jsonl")
    assert {entry["state"]["task"] for entry in states} == {"spaceship-titanic"}

    updates = jsonl(run / "metrics.jsonl")
    assert [update["update"] for update in updates] == list(range(1, UPDATES + 1))
    for update in updates:
        assert update["tasks"]["spaceship-titanic"]["samples"] == STATES
        assert update["rollout/num_samples"] == STATES
        assert 0.0 <= update["rollout/reward_mean"] <= 1.0

    summary = json.loads((run / "summary.json").read_text())
    for name in ("before", "after"):
        evaluation = summary["evaluations"][name]
        assert set(evaluation["tasks"]) == {"spaceship-titanic", "spooky-author-identification"}
        assert {stats["episodes"] for stats in evaluation["tasks"].values()} == {EPISODES}
    assert list((run / "tensorboard" / "ppo").glob("events*"))

    again = main_job()
    assert again.wait() == 0, (tmp_path / "main.log").read_text()
    assert json.loads((run / "summary.json").read_text()) == summary

    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(run / "checkpoint")
    tokenizer = AutoTokenizer.from_pretrained(run / "checkpoint")
    assert model.config.vocab_size >= len(tokenizer)
