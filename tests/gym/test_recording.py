"""Every step is in the file when it returns, and the file alone is enough to go on."""

import dataclasses
import functools
import itertools
import json
import signal
import subprocess
import sys

import gymnasium as gym
import pytest

from mlagent_gym import FakeExecutor, RewardConfig
from mlagent_gym.actions import render
from mlagent_gym.errors import ConfigError, RecordError, SandboxError
from mlagent_gym.recording import RecordEpisode, last_record, resume
from mlagent_gym.records import append_record, read_records
from mlagent_gym.replay import replay
from mlagent_gym.store import Store, digest_of

from .conftest import edit, quality, quality_run

LIST = render("List Files", {"dir_path": "."})
RUN = render("Execute Script", {"script_name": "train.py"})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "episodes.jsonl"


def test_a_record_holds_the_whole_step(make_env, path, tmp_path):
    env = RecordEpisode(make_env(observation="messages"), path)
    observation, _ = env.reset(seed=3)
    start = env.unwrapped.state()
    after, reward, _, _, info = env.step(quality(0.7))
    (record,) = read_records(path)
    assert record.episode == env.episode
    assert record.state == start
    assert record.next_state == env.unwrapped.state()
    assert record.prompt == digest_of(observation.encode())
    assert record.next_prompt == digest_of(after.encode())
    assert record.messages[-1]["role"] == "user"
    assert record.reply == quality(0.7)
    assert record.action["name"] == "Edit Script"
    assert record.action["content"] == "QUALITY = 0.7\n"
    assert record.reward == reward
    assert record.info["score"] == info["score"]
    assert record.info["feedback"] == info["feedback"]
    assert "+QUALITY = 0.7" in record.diff
    assert record.resources["total_s"] > 0
    assert record.versions["gymnasium"] == gym.__version__
    assert Store(tmp_path / "store").get(record.submission).startswith(b"Id,SalePrice")
    assert record.env["kwargs"]["data_size"] == 97
    assert "executor" not in record.env["kwargs"]


def test_each_episode_has_a_name_and_each_step_follows_the_last(make_env, path):
    env = RecordEpisode(make_env(), path)
    for _ in range(2):
        env.reset(seed=0)
        for reply in (LIST, quality(0.5), "nonsense"):
            env.step(reply)
    records = list(read_records(path))
    assert len(records) == 6
    assert len({record.episode for record in records}) == 2
    for one, two in itertools.pairwise(records):
        if one.episode == two.episode:
            assert one.next_state == two.state
            assert one.next_prompt == two.prompt


def test_a_record_can_be_kept_by_the_caller(make_env, path):
    env = RecordEpisode(make_env(), None)
    env.reset(seed=0)
    assert env.record is None
    env.step(LIST)
    append_record(path, dataclasses.replace(env.record, episode="mine"))
    assert last_record(path).episode == "mine"


def test_hostile_text_is_recorded_as_text(make_env, path):
    env = RecordEpisode(make_env(), path)
    env.reset(seed=0)
    for reply in ("\ud800", "\x00\n\u2028", edit("\u202e'\n")):
        env.step(reply)
    assert len(list(read_records(path))) == 3


def test_files_that_are_no_text_are_only_named(make_env, path):
    def run(script, workspace, data):
        (workspace / "model.bin").write_bytes(b"\xff\x00")
        return quality_run(script, workspace, data)

    env = RecordEpisode(make_env(executor=FakeExecutor(run)), path)
    env.reset(seed=0)
    env.step(RUN)
    assert last_record(path).diff == "model.bin changed"


def test_what_decides_an_episode_is_kept_with_it(make_env, path):
    env = RecordEpisode(make_env(reward=RewardConfig("v2", floor=0.5), max_steps=4), path)
    env.reset(seed=0)
    env.step(quality(0.9))
    reward = last_record(path).reward
    again, _, _ = resume(path, executor=FakeExecutor(quality_run), store=env.unwrapped.store.root)
    again.reset(seed=0)
    assert again.step(quality(0.9))[1] == reward
    again.close()


def test_an_episode_goes_on_under_its_name(make_env, path, tmp_path):
    env = RecordEpisode(make_env(), path)
    env.reset(seed=0)
    shown = env.step(quality(0.7))[0]
    kwargs = {"executor": FakeExecutor(quality_run), "store": tmp_path / "store"}
    again, observation, info = resume(path, **kwargs)
    assert observation == shown
    assert info["step"] == 1
    again.step(render("Final Answer", {"final_answer": "done"}))
    again.close()
    assert {record.episode for record in read_records(path)} == {env.episode}
    with pytest.raises(RecordError, match="has ended"):
        resume(path, **kwargs)
    with pytest.raises(RecordError, match="no whole record"):
        path.write_text('{"torn')
        resume(path)


def test_a_step_that_could_not_be_recorded_cannot_be_followed(make_env, path, tmp_path):
    env = RecordEpisode(make_env(), path)
    env.reset(seed=0)
    env.step(quality(0.5))
    kept = path.rename(tmp_path / "kept.jsonl")
    path.mkdir()
    with pytest.raises(RecordError, match="cannot be written"):
        env.step(quality(0.6))
    path.rmdir()
    kept.rename(path)
    with pytest.raises(gym.error.ResetNeeded, match="could not be recorded"):
        env.step(quality(0.7))
    assert len(list(read_records(path))) == 1
    again, _, info = resume(
        path, executor=FakeExecutor(quality_run), store=env.unwrapped.store.root
    )
    assert info["step"] == 1
    again.step(quality(0.7))
    env.reset(seed=0)
    env.step(quality(0.8))
    one, two, three = read_records(path)
    assert two.state == one.next_state
    assert three.state.step == 0
    again.close()


def test_a_step_that_the_machine_failed_is_tried_again(make_env, path):
    faults = [SandboxError("The machine failed. Try again.")]

    def run(*asked):
        if faults:
            raise faults.pop()
        return quality_run(*asked)

    env = RecordEpisode(make_env(executor=FakeExecutor(run)), path)
    env.reset(seed=0)
    with pytest.raises(SandboxError):
        env.step(quality(0.6))
    env.step(quality(0.6))
    assert [record.next_state.step for record in read_records(path)] == [1]


def words(text):
    return len(text.split())


def test_going_on_asks_for_a_prompt_count_that_is_not_recorded(make_env, path):
    env = RecordEpisode(make_env(prompt_budget=900, prompt_count=words), path)
    env.reset(seed=0)
    shown = env.step(quality(0.6))[0]
    kwargs = {"executor": FakeExecutor(quality_run), "store": env.unwrapped.store.root}
    with pytest.raises(RecordError, match="Give the same prompt_count"):
        resume(path, **kwargs)
    again, observation, _ = resume(path, prompt_count=words, **kwargs)
    assert observation == shown
    again.close()


def test_many_changed_files_are_named_and_not_compared(make_env, path):
    def run(script, workspace, data):
        for number in range(30):
            (workspace / f"log{number:02}.txt").write_text(f"{number}\n")
        return quality_run(script, workspace, data)

    env = RecordEpisode(make_env(executor=FakeExecutor(run)), path)
    env.reset(seed=0)
    env.step(RUN)
    diff = last_record(path).diff
    assert "+19" in diff
    assert "+20" not in diff
    assert diff.endswith("log29.txt changed")


def test_only_our_own_environments_can_be_recorded(make_env, path):
    with pytest.raises(ConfigError, match=r"gymnasium\.make"):
        RecordEpisode(gym.make("CartPole-v1"), path)
    with pytest.raises(gym.error.ResetNeeded):
        RecordEpisode(make_env(), path).step(LIST)


def test_vector_envs_record_into_one_file(path, tmp_path):
    envs = gym.make_vec(
        "MLAgent/house-price-v0",
        num_envs=2,
        vectorization_mode="async",
        vector_kwargs={"shared_memory": False},
        wrappers=[functools.partial(RecordEpisode, path=str(path))],
        store=str(tmp_path / "store"),
    )
    envs.reset(seed=1)
    for _ in range(3):
        envs.step([LIST, "nonsense"])
    envs.close()
    records = list(read_records(path))
    assert len(records) == 6
    assert {record.state.seed for record in records} == {1, 2}


EPISODE = """
import os, signal, sys
import gymnasium as gym
import mlagent_gym
from mlagent_gym.recording import RecordEpisode

path, store, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
env = RecordEpisode(gym.make("MLAgent/house-price-v0", store=store), path)
_, info = env.reset(seed=11)
expert = mlagent_gym.IdeaBankExpert((8, 8))
expert.start("house-price", seed=1)
observation = ""
for _ in range(steps):
    reply = expert.act(observation, info)
    if mlagent_gym.parse(reply).name == "Final Answer":
        reply = mlagent_gym.render("Execute Script", {"script_name": "train.py"})
    observation, _, _, _, info = env.step(reply)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_episode_goes_on_in_another_process_as_if_nothing_had_happened(tmp_path):
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    for path, steps in ((whole, 15), (killed, 7)):
        command = [sys.executable, "-c", EPISODE, str(path), str(tmp_path / "store"), str(steps)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == -signal.SIGKILL, done.stderr
    with killed.open("a") as file:
        file.write(json.dumps({"episode": "cut by the ki"})[:-2])
    expected = list(read_records(whole))
    env, _, info = resume(killed, store=tmp_path / "store")
    assert info["step"] == 7
    for record in expected[7:]:
        assert env.step(record.reply)[4]["step"] == record.next_state.step
    env.close()
    resumed = list(read_records(killed))
    assert [one.next_state.score for one in resumed] == [one.next_state.score for one in expected]
    assert [one.reward for one in resumed] == [one.reward for one in expected]
    assert [one.next_state.id for one in resumed] == [one.next_state.id for one in expected]
    assert resumed[-1].truncated
    assert len({one.next_state.score for one in expected}) > 3
    again = list(replay(killed, store=tmp_path / "store"))
    assert len(again) == 15
    assert not [difference for step in again for difference in step.differences]
