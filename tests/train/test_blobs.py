"""mlagent_train.envs.blobs: states on nodes that do not see the run's store."""

import json

import gymnasium as gym
import pytest

import mlagent_gym
from mlagent_gym import Store, StoreError
from mlagent_train.envs import blobs

TASK = "spaceship-titanic"


@pytest.fixture
def start(tmp_path):
    """A start state as decoded JSON, its store, and the folder of that store."""
    folder = tmp_path / "run" / "store"
    env = gym.make(f"MLAgent/{TASK}-v0", store=str(folder), disable_env_checker=True)
    env.reset(seed=0)
    state = json.loads(env.unwrapped.state().to_json())
    env.close()
    return state, folder


def test_a_folder_is_known_by_its_mark(tmp_path):
    shared = blobs.share_folder(str(tmp_path / "store"))
    assert shared == blobs.share_folder(str(tmp_path / "store"))
    assert shared.is_seen()
    other = blobs.share_folder(str(tmp_path / "other"))
    assert not blobs.SharedFolder(other.path, shared.mark).is_seen()
    assert not blobs.SharedFolder(str(tmp_path / "nowhere"), shared.mark).is_seen()
    assert blobs.local_folder(shared) != blobs.local_folder(other)
    assert [path.name for path in (tmp_path / "store").iterdir()] == [".shared"]


def test_blobs_of_a_state_go_from_store_to_store(start, tmp_path):
    state, folder = start
    here, there = Store(folder), Store(tmp_path / "there")
    sent = blobs.blobs_for(state, here)
    assert set(sent) == mlagent_gym.State.from_dict(state).blobs
    blobs.keep_blobs(sent, there)
    assert blobs.blobs_for(state, there) == sent
    assert blobs.new_blobs(state, sent, there) == {}
    assert blobs.blobs_for(None, here) == blobs.new_blobs(None, {}, here) == {}


def test_a_blob_with_another_content_is_refused(tmp_path):
    with pytest.raises(StoreError, match="another content"):
        blobs.keep_blobs({"0" * 64: b"x"}, Store(tmp_path))


def test_a_worker_that_does_not_see_the_store_gets_and_gives_blobs(start, monkeypatch):
    from mlagent_train.envs.stepping import StepRequest
    from mlagent_train.envs.workers import EnvWorker

    state, folder = start
    here = Store(folder)
    shared = blobs.share_folder(str(folder))
    elsewhere = blobs.SharedFolder(shared.path, "the mark of another folder")
    worker = EnvWorker({"store": str(folder)}, elsewhere)
    before = set(here)
    edit = mlagent_gym.render("List Files", {"dir_path": "."})
    request = StepRequest(f"MLAgent/{TASK}-v0", edit, state, keep_state=True)
    answer = worker.run(request, blobs.blobs_for(state, here))
    assert not isinstance(answer, tuple), answer
    assert set(here) == before
    assert set(answer.blobs) == mlagent_gym.State.from_dict(answer.result.state).blobs - before
    assert answer.blobs

    blobs.keep_blobs(answer.blobs, here)
    same = EnvWorker({"store": str(folder)}, shared)
    again = same.run(StepRequest(f"MLAgent/{TASK}-v0", edit, answer.result.state), {})
    assert again.result.info["step"] == 2
