"""With several seeds the mean counts, for the agent's scripts as for the starter."""

import re
from dataclasses import replace

import pytest

from mlagent_gym import ConfigError, FakeExecutor
from mlagent_gym.actions import render
from mlagent_gym.executor import Run, RunStatus
from mlagent_gym.recording import RecordEpisode, last_record

from .conftest import edit, quality_run

RUN = render("Execute Script", {"script_name": "train.py"})


def noisy_run(script, workspace, data):
    """Run with a quality that grows with the script's SEED; seed 2 may fail."""
    text = (workspace / script).read_text()
    seed = int(re.search(r"^SEED = (\d+)$", text, re.MULTILINE).group(1))
    if "slow" in text and seed == 2:
        return Run(RunStatus.TIMEOUT, "")
    if "brittle" in text and seed == 2:
        return Run(RunStatus.ERROR, "ValueError", exit_code=1)
    base = float(found.group(1)) if (found := re.search(r"BASE = ([\d.]+)", text)) else 0.2
    (workspace / script).write_text(f"QUALITY = {base + 0.1 * seed}\n")
    run = quality_run(script, workspace, data)
    (workspace / script).write_text(text)
    return run


@pytest.fixture
def executor():
    return FakeExecutor(noisy_run)


@pytest.fixture
def env(make_env, executor):
    env = make_env(executor=executor, score_seeds=3, data_seed=77)
    env.reset(seed=0)
    return env


def test_the_mean_over_seeds_counts_and_no_change_is_no_gain(make_env, env):
    start = env.unwrapped.state().score
    single = make_env(executor=FakeExecutor(noisy_run), data_seed=77)
    assert single.reset(seed=0)[1]["score"] > start  # an error: less with the mean's quality
    _, reward, _, _, info = env.step(edit("SEED = 0\nBASE = 0.2\n"))
    assert info["score"] == pytest.approx(start)
    assert reward == pytest.approx(0.5)
    better = env.step(edit("SEED = 0\nBASE = 0.3\n"))[4]
    one = single.step(edit("SEED = 0\nBASE = 0.4\n"))[4]
    assert better["score"] == pytest.approx(one["score"])  # 0.3 and 0.1 more from the seeds
    assert env.step(RUN)[4]["score"] == pytest.approx(better["score"])


def test_the_script_is_afterwards_as_it_was(env, executor):
    text = "SEED = 0\nBASE = 0.3\n"
    env.step(edit(text))
    state = env.unwrapped.state()
    assert env.unwrapped.store.get(state.files["train.py"]).decode() == text
    assert executor.calls[-1]["seed"] == 2


@pytest.mark.parametrize(("word", "outcome"), [("slow", "corner_case"), ("brittle", "failed")])
def test_a_script_must_run_with_every_seed(env, word, outcome):
    info = env.step(edit(f"SEED = 0\n# {word}\n"))[4]
    assert info["outcome"] == outcome
    assert "another seed" in info["feedback"]


def test_a_mean_has_no_submission_to_grade_again(env, tmp_path):
    recorded = RecordEpisode(env, tmp_path / "r.jsonl")
    recorded.reset(seed=0)
    recorded.step(edit("SEED = 0\nBASE = 0.3\n"))
    assert last_record(tmp_path / "r.jsonl").submission is None


def test_a_script_runs_with_at_least_one_seed(make_env):
    with pytest.raises(ConfigError, match="at least 1"):
        make_env(score_seeds=0)


def test_further_metrics_are_means_too(make_env, executor):
    env = make_env(executor=executor, score_seeds=3, data_seed=77)
    env.unwrapped.task = replace(env.unwrapped.task, also=("mae",))
    env.reset(seed=0)
    info = env.step(edit("SEED = 0\nBASE = 0.3\n"))[4]
    assert info["also"] == {"mae": pytest.approx(info["score"])}
