"""With several seeds the mean counts, for the agent's scripts as for the starter."""

import re
import shutil
from dataclasses import replace

import pytest

from mlagent_gym import ConfigError, FakeExecutor
from mlagent_gym.actions import render
from mlagent_gym.executor import Run, RunStatus
from mlagent_gym.notebooks import to_text
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


def spend(script, workspace, data):
    """Run as above, saying that it took something: most memory with seed 1."""
    memory_mb = 30.0 if "SEED = 1" in (workspace / script).read_text() else 10.0
    run = noisy_run(script, workspace, data)
    return replace(run, queued_s=1.0, cpu_s=2.0, wall_s=3.0, peak_memory_mb=memory_mb)


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


def cells_run(script, workspace, data):
    """Run a notebook's program, whose cells are in it as strings."""
    text = (workspace / script).read_text()
    if script.startswith("cells_"):
        knobs = [re.search(rf"{name} = [\d.]+", text).group(0) for name in ("SEED", "BASE")]
        (workspace / script).write_text("\n".join(knobs))
    return noisy_run(script, workspace, data)


def test_a_notebook_is_run_with_every_seed_like_a_script(make_env, executor):
    script = make_env(executor=executor, score_seeds=3, data_seed=77)
    fake = FakeExecutor(cells_run)
    notebook = make_env(executor=fake, score_seeds=3, data_seed=77)
    text = "SEED = 0\nBASE = 0.3\n"
    script.reset(seed=0)
    expected = script.step(edit(text))[4]
    notebook.reset(seed=0)
    for reply in (edit(f"# %%\n{text}", "train.ipynb"), RUN.replace("train.py", "train.ipynb")):
        info = notebook.step(reply)[4]
        assert info["run_status"] == "ok"
        assert info["score"] == pytest.approx(expected["score"])
    assert [call["seed"] for call in fake.calls[-6:]] == [0, 1, 2] * 2
    state = notebook.unwrapped.state()
    assert set(state.files) == {"train.py", "train.ipynb"}
    assert to_text(notebook.unwrapped.store.get(state.files["train.ipynb"])) == f"# %%\n{text}"


def leave(what):
    """Return a run after which something else is in the script's place."""

    def run(script, workspace, data):
        run = noisy_run(script, workspace, data)
        path = workspace / script
        path.unlink()
        if what == "folder":
            path.mkdir()
            (path / "train.py").touch()
        elif what == "link":
            path.symlink_to("/etc/passwd")
        elif what == "other":
            path.write_text("SEED = 2\n# brittle\n")
        return run

    return run


@pytest.mark.parametrize("what", ["nothing", "folder", "link", "other"])
def test_every_run_is_of_the_script_as_it_was_before_the_first(make_env, env, what):
    text = "SEED = 0\nBASE = 0.3\n"
    expected = env.step(edit(text))[4]["score"]
    hostile = make_env(executor=FakeExecutor(leave(what)), score_seeds=3, data_seed=77)
    hostile.reset(seed=0)
    info = hostile.step(edit(text))[4]
    assert (info["outcome"], info["score"]) == ("scored", pytest.approx(expected))
    assert ("train.py" in hostile.unwrapped.state().files) == (what == "other")


def test_a_script_whose_place_is_gone_fails(make_env):
    def run(script, workspace, data):
        run = noisy_run(script, workspace, data)
        folder = workspace / "folder"
        if script == "train.py":
            folder.mkdir(exist_ok=True)
            (folder / "train.py").touch()
        else:
            shutil.rmtree(folder)
            folder.touch()
        return run

    env = make_env(executor=FakeExecutor(run), score_seeds=2, data_seed=77)
    env.reset(seed=0)
    env.step(edit("SEED = 0\n"))
    info = env.step(edit("SEED = 0\nBASE = 0.3\n", "folder/train.py"))[4]
    assert info["outcome"] == "failed"
    assert "cannot be run with another seed" in info["feedback"]


def test_a_seed_of_many_digits_is_left_alone(env):
    text = f"SEED = 0\nBASE = 0.3\nSEED = {'9' * 5000}\n"
    assert env.step(edit(text))[4]["outcome"] == "scored"


def test_what_all_runs_took_is_counted(make_env):
    env = make_env(executor=FakeExecutor(spend), score_seeds=3, data_seed=77)
    env.reset(seed=0)
    resources = env.step(edit("SEED = 0\nBASE = 0.3\n"))[4]["resources"]
    assert (resources.queued_s, resources.cpu_s, resources.peak_memory_mb) == (3, 6, 30)


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
