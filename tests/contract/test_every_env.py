"""What every environment promises, with scripts that really run."""

import json
import subprocess
import sys

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env

import mlagent_gym
from mlagent_gym import INFO_KEYS, load_ideas, load_task, render, task_ids

CONTINUE = """
import json, sys
import gymnasium as gym, mlagent_gym
env_id, state, reply = json.load(sys.stdin)
env = gym.make(env_id)
env.reset(options={"state": state})
_, reward, _, _, info = env.step(reply)
env.close()
json.dump({"reward": reward, "feedback": info["feedback"], "score": info["score"]}, sys.stdout)
"""

pytestmark = pytest.mark.parametrize("task_id", task_ids())


def edit_of(task_id):
    """Return the reply that tries a task's first idea."""
    idea = load_ideas(load_task(task_id))[0]
    edits = [{"search": edit.search, "replace": edit.replace} for edit in idea.edits]
    return render("Edit Script", {"script_name": idea.script, "edits": edits})


def test_gymnasium_accepts_it(task_id):
    env = gym.make(load_task(task_id).env_id)
    check_env(env.unwrapped)
    env.close()


def test_a_state_continues_in_another_process(task_id, tmp_path):
    env = gym.make(load_task(task_id).env_id)
    observation, info = env.reset(seed=0)
    assert load_task(task_id).description.strip() in observation
    assert set(info) == set(INFO_KEYS)
    env.unwrapped.state().save(tmp_path / "state.json")
    reply = edit_of(task_id)
    _, reward, _, _, info = env.step(reply)
    env.close()
    assert info["outcome"] == "scored", info["feedback"]
    assert info["score"] != info["initial_score"]
    assert 0 <= reward <= 1

    request = json.dumps([load_task(task_id).env_id, str(tmp_path / "state.json"), reply])
    done = subprocess.run(
        [sys.executable, "-c", CONTINUE],
        input=request,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout)
    assert there == {"reward": reward, "feedback": info["feedback"], "score": info["score"]}


def test_nothing_private_can_be_read_through_the_environment(task_id):
    env = gym.make(load_task(task_id).env_id)
    env.reset(seed=0)
    answers = load_task(task_id).submission.answers
    for path in (f"../private/{answers}", f"../input/../private/{answers}", "../input/../private"):
        for reply in (
            render("Inspect Script Lines", {"script_name": path}),
            render("List Files", {"dir_path": path}),
            render("Copy File", {"source": path, "destination": "mine.csv"}),
        ):
            info = env.step(reply)[4]
            assert not info["valid"]
    env.close()


def test_the_environment_is_registered(task_id):
    assert load_task(task_id).env_id in gym.registry
    assert mlagent_gym.task_ids().count(task_id) == 1
