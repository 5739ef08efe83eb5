"""mlagent_train.envs.blobs: states on nodes that do not see the run's store."""

import asyncio
import collections
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


def test_the_pool_sends_blobs_to_workers_on_nodes_without_the_store(start, cluster, end_pool):
    from mlagent_train.envs.links import Door
    from mlagent_train.envs.settings import PoolSettings
    from mlagent_train.envs.stepping import StepRequest
    from mlagent_train.envs.workers import Crew

    end_pool()
    state, folder = start
    look = mlagent_gym.render("List Files", {"dir_path": "."})

    async def two_steps():
        settings = PoolSettings(slots=1, env_kwargs={"store": str(folder)})
        door = Door(lambda _: asyncio.sleep(0))
        await door.open("127.0.0.1")
        crew = Crew(settings, collections.Counter(), door)
        (folder / ".shared").write_text("what a node sees that has another folder here")
        await crew.start()
        assert [facts.sees_store for facts in crew.facts] == [False]
        request = StepRequest(f"MLAgent/{TASK}-v0", look, state, keep_state=True)
        first = await crew.run_on(await crew.take(), request)
        request = StepRequest(f"MLAgent/{TASK}-v0", look, first.state, keep_state=True)
        second = await crew.run_on(await crew.take(), request)
        missing = StepRequest(
            f"MLAgent/{TASK}-v0", look, {**second.state, "history": ["0" * 64]}, keep_state=True
        )
        lost = await crew.run_on(await crew.take(), missing)
        crew.close()
        door.close()
        return first, second, lost

    first, second, lost = asyncio.run(two_steps())
    assert (first.info["step"], second.info["step"]) == (1, 2)
    assert mlagent_gym.State.from_dict(second.state).blobs <= set(Store(folder))
    assert lost[0] == "raised"
    assert "BlobMissingError" in lost[1]
