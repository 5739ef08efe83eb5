"""The commands over states and recordings, as a person types them."""

import json
import os
import time

import pytest
from typer.testing import CliRunner

from mlagent_gym.cli import app
from mlagent_gym.recording import RecordEpisode

from .conftest import quality


@pytest.fixture
def folder(make_env, tmp_path):
    env = RecordEpisode(make_env(executor="auto"), tmp_path / "episodes.jsonl")
    env.reset(seed=0)
    env.step(quality(0.5))  # writes no submission when it really runs
    env.step("nonsense")
    env.unwrapped.state().save(tmp_path / "state.json")
    return tmp_path


@pytest.fixture
def mlagent(folder):
    def mlagent(*args, exit_code=0):
        files = (".json", ".jsonl", ".zip")
        names = [str(folder / arg) if arg.endswith(files) else arg for arg in args]
        result = CliRunner().invoke(app, [*names, "--store", str(folder / "store")])
        assert result.exit_code == exit_code, result.output
        return result.output

    return mlagent


def test_a_state_is_shown(mlagent):
    shown = mlagent("state", "show", "state.json")
    assert "task: house-price" in shown
    assert "2. invalid action" in shown
    report = json.loads(mlagent("state", "show", "episodes.jsonl", "--json"))
    assert report["states"] == {"house-price": 4}
    assert report["missing_blobs"] == []
    assert mlagent("state", "show", "state.json", "--cat", "train.py") == "QUALITY = 0.5\n"
    assert "it has: train.py" in mlagent("state", "show", "state.json", "--cat", "x", exit_code=2)


def test_a_state_goes_out_and_comes_in(mlagent, folder):
    assert "Wrote" in mlagent("state", "export", "state.json", "out.zip")
    (folder / "in").mkdir()
    mlagent("state", "import", "out.zip", "--to", str(folder / "in"))
    assert (folder / "in" / "state.json").read_text() == (folder / "state.json").read_text()


def test_only_what_no_file_needs_is_collected(mlagent, folder):
    for path in (folder / "store").glob("??/*"):
        os.utime(path, (time.time() - 1e6,) * 2)
    assert "Name the files" in mlagent("state", "gc", exit_code=2)
    assert "Freed 0.00 MB" in mlagent("state", "gc", "episodes.jsonl")
    assert mlagent("state", "gc", "--keep-nothing", "--dry-run").startswith("Would free")
    assert mlagent("state", "show", "state.json", "--cat", "train.py")
    mlagent("state", "gc", "--keep-nothing")
    assert mlagent("state", "show", "state.json", "--cat", "train.py")  # it had just been read
    mlagent("state", "gc", "--keep-nothing", "--older-than", "0")
    assert "has no blob" in mlagent("state", "show", "state.json", "--cat", "train.py", exit_code=1)


def test_a_recording_is_replayed(mlagent, folder):
    shown = mlagent("replay", "episodes.jsonl")
    assert "2 steps, 0 with other results" in shown
    lines = (folder / "episodes.jsonl").read_text().splitlines()
    first = json.loads(lines[0]) | {"reward": 0.25}
    (folder / "episodes.jsonl").write_text(json.dumps(first) + "\n")
    assert "reward: recorded 0.25, now 0.0" in mlagent("replay", "episodes.jsonl", exit_code=1)
    (row,) = json.loads(mlagent("replay", "episodes.jsonl", "--json", exit_code=1))
    assert row["differences"] == {"reward": [0.25, 0.0]}
    assert "0 steps" in mlagent("replay", "episodes.jsonl", "--grade-only")
