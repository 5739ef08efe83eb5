"""The environment: one step after another, from any state, with nothing lost."""

import functools
import json
import os
import pickle
import tempfile
import time
from dataclasses import replace

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env

from mlagent_gym import (
    INFO_KEYS,
    ConfigError,
    FakeExecutor,
    MLAgentEnv,
    RewardConfig,
    State,
    UnknownTaskError,
    data,
)
from mlagent_gym.actions import render
from mlagent_gym.errors import (
    BlobCorruptError,
    BlobMissingError,
    DataMissingError,
    SandboxError,
    StateCorruptError,
    StateMismatchError,
)
from mlagent_gym.pool import build_pool
from mlagent_gym.recording import RecordEpisode
from mlagent_gym.tasks import Leak, load_task

from .conftest import edit, quality, quality_run

pytestmark = pytest.mark.smoke

FINAL = render("Final Answer", {"final_answer": "done"})
LIST = render("List Files", {"dir_path": "."})
RUN = render("Execute Script", {"script_name": "train.py"})
UNDO = render("Undo Edit Script", {"script_name": "train.py"})


def test_gymnasium_accepts_it(make_env):
    check_env(make_env().unwrapped, skip_render_check=False)


def test_the_spec_survives_json_and_pickle():
    spec = gym.spec("MLAgent/house-price-v0")
    assert gym.envs.registration.EnvSpec.from_json(spec.to_json()) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_info_always_has_the_same_keys(make_env):
    env = make_env()
    _, info = env.reset(seed=0)
    assert set(info) == set(INFO_KEYS)
    for reply in ("nonsense", LIST, quality(0.5), edit("raise"), RUN, UNDO, FINAL):
        _, _, _, _, info = env.step(reply)
        assert set(info) == set(INFO_KEYS)


@pytest.mark.parametrize(
    ("reply", "outcome", "v1", "v2"),
    [
        ("nonsense", "invalid", 0.0, -1.0),
        (render("Copy File", {"source": "no", "destination": "b"}), "invalid", 0.0, -1.0),
        (LIST, "non_edit", 0.5, 0.0),
        (RUN, "non_edit", 0.5, 0.0),
        (edit("raise"), "failed", 0.0, -1.0),
        (edit("silent"), "failed", 0.0, -1.0),
        (edit("while True"), "corner_case", 0.5, 0.0),
        (edit("import nowhere"), "corner_case", 0.5, 0.0),
        (quality(1.0), "scored", 1.0, 1.0),
        (quality(0.0), "scored", 0.0, -0.267),
    ],
)
def test_each_kind_of_step_has_its_reward(make_env, reply, outcome, v1, v2):
    for version, expected in (("v1", v1), ("v2", v2)):
        env = make_env(reward=version)
        env.reset(seed=0)
        _, reward, terminated, truncated, info = env.step(reply)
        assert info["outcome"] == outcome
        assert info["valid"] == (outcome != "invalid")
        assert reward == pytest.approx(expected, abs=0.01)
        assert not terminated
        assert not truncated


def test_scores_are_kept_and_the_best_counts(make_env):
    env = make_env()
    _, start = env.reset(seed=0)
    assert start["score"] == start["initial_score"] == start["best_score"]
    better = env.step(quality(0.9))[4]
    worse = env.step(quality(0.5))[4]
    failed = env.step(edit("raise"))[4]
    assert better["score"] < worse["score"]
    assert better["gain"] > 0 > worse["gain"]
    assert failed["score"] == worse["score"]
    assert failed["best_score"] == better["score"]
    assert failed["relative_gain"] == pytest.approx(
        (start["score"] - better["score"]) / start["score"]
    )


def test_undo_brings_back_script_and_score(make_env):
    env = make_env()
    env.reset(seed=0)
    first = env.step(quality(0.9))[4]
    env.step(quality(0.5))
    _, reward, _, _, undone = env.step(UNDO)
    assert undone["score"] == first["score"]
    assert reward == 0.5
    _, reward, _, _, _ = env.step(quality(0.9))
    assert reward == pytest.approx(0.5)  # an edit that is taken back earns nothing the second time
    for _ in range(2):
        env.step(UNDO)
    assert not env.step(UNDO)[4]["valid"]


def undo(script):
    return render("Undo Edit Script", {"script_name": script})


def save(script, value):
    return edit(f"QUALITY = {value}\n", script)


@pytest.mark.parametrize("resumed", [False, True])
def test_undo_brings_back_the_score_only_of_the_last_edit(make_env, resumed):
    env = make_env()
    start = env.reset(seed=0)[1]["score"]
    scores = {}
    for value, script in ((0.6, "a.py"), (0.7, "b.py"), (0.9, "a.py")):
        scores[value] = env.step(save(script, value))[4]["score"]
    if resumed:
        env.reset(options={"state": json.loads(env.unwrapped.state().to_json())})
    assert env.step(undo("b.py"))[4]["score"] == scores[0.9]
    assert env.step(undo("a.py"))[4]["score"] == scores[0.6]
    assert env.step(undo("a.py"))[4]["score"] == start


def test_undoing_another_script_leaves_no_gain_to_be_had_for_nothing(make_env):
    env = make_env()
    env.reset(seed=0)
    env.step(save("a.py", 0.6))
    score = env.step(save("b.py", 0.7))[4]["score"]
    assert env.step(undo("a.py"))[4]["score"] == score
    _, reward, _, _, info = env.step(save("b.py", 0.7))
    assert (reward, info["gain"]) == (pytest.approx(0.5), 0.0)


def test_undo_removes_a_script_that_was_new(make_env):
    env = make_env()
    env.reset(seed=0)
    env.step(edit("QUALITY = 0.5", "new.py"))
    env.step(render("Undo Edit Script", {"script_name": "new.py"}))
    assert "new.py" not in env.step(LIST)[4]["feedback"]


def test_an_episode_ends_by_answer_steps_or_seconds(make_env):
    env = make_env(max_steps=3)
    env.reset(seed=0)
    assert env.step(FINAL)[2:4] == (True, False)
    env.reset(seed=0)
    ends = [env.step(LIST)[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
    assert env.step(LIST)[4]["truncated_by"] == "steps"
    env = make_env(max_seconds=0.0)
    env.reset(seed=0)
    _, _, terminated, truncated, info = env.step(LIST)
    assert (terminated, truncated, info["truncated_by"]) == (False, True, "seconds")


def test_waiting_for_a_turn_costs_the_agent_no_time(make_env):
    def busy(*asked):
        time.sleep(0.2)
        return replace(quality_run(*asked), queued_s=0.2)

    env = make_env(executor=FakeExecutor(busy))
    env.reset(seed=0)
    info = env.step(RUN)[4]
    assert info["resources"].queued_s == 0.2
    assert env.unwrapped.state().elapsed_s <= info["resources"].total_s - 0.2


def test_step_wise_episodes_end_after_one_step(make_env):
    env = make_env(step_wise=True)
    env.reset(seed=0)
    assert env.step(LIST)[2] is True


def test_a_state_continues_where_it_stopped(make_env, tmp_path):
    env = make_env(prompt="compact")
    env.reset(seed=3)
    env.step(quality(0.6))
    observation = env.step(edit("raise"))[0]
    state = env.unwrapped.state()
    state.save(tmp_path / "state.json")
    live = env.step(RUN)
    for start in (state, json.loads(state.to_json()), tmp_path / "state.json"):
        other = make_env(prompt="compact")
        restored, info = other.reset(options={"state": start})
        assert restored == observation
        assert info["state_id"] == state.id
        again = other.step(RUN)
        assert again[0] == live[0]
        assert again[1] == live[1]
        assert again[4]["feedback"] == live[4]["feedback"]
        assert again[4]["score"] == live[4]["score"]


def test_the_same_seed_gives_the_same_episode(make_env):
    runs = []
    for _ in range(2):
        env = make_env()
        runs.append([env.reset(seed=5)[0], *(env.step(r)[0] for r in (LIST, quality(0.5), UNDO))])
    assert runs[0] == runs[1]


def test_what_a_state_needs_is_in_the_store_only_when_asked_for(make_env, tmp_path):
    env = make_env()
    env.reset(seed=0)
    env.step(quality(0.5))
    assert not (tmp_path / "store").exists()
    state = env.unwrapped.state()
    elsewhere = make_env(store=tmp_path / "other")
    with pytest.raises(BlobMissingError):
        elsewhere.reset(options={"state": state})
    digest = state.files["train.py"]
    path = tmp_path / "store" / digest[:2] / digest[2:]
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    with pytest.raises(BlobCorruptError):
        make_env().reset(options={"state": state})


def test_large_files_of_steps_that_are_not_saved_leave_nothing_behind(
    make_env, tmp_path, monkeypatch
):
    def train(script, workspace, data):
        (workspace / "model.bin").write_bytes(os.urandom(2**17))
        return quality_run(script, workspace, data)

    (tmp_path / "temp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    env = make_env(executor=FakeExecutor(train), step_wise=True)
    for _ in range(3):
        env.reset(seed=0)
        env.step(RUN)
        assert len(list(tmp_path.glob("temp/mlagent-staged-*/??/*"))) == 1
    assert not (tmp_path / "store").exists()
    state = env.unwrapped.state()
    env.close()
    assert list((tmp_path / "temp").iterdir()) == []
    other = make_env()
    other.reset(options={"state": state})
    assert other.unwrapped.state() == state


def test_states_of_other_data_are_refused(make_env):
    env = make_env()
    env.reset(seed=0)
    state = env.unwrapped.state()
    other = make_env(data_seed=1)
    with pytest.raises(StateMismatchError, match="fingerprint"):
        other.reset(options={"state": state})
    values = json.loads(state.to_json())
    for key, value in (("variant", "real"), ("task", "cifar10")):
        with pytest.raises(StateMismatchError, match=key):
            env.reset(options={"state": values | {key: value}})
    with pytest.raises(StateCorruptError):
        env.reset(options={"state": values | {"step": "many"}})
    env.reset(options={"state": State.from_dict(values)})  # it still works afterwards


def test_wrong_arguments_say_what_is_known(monkeypatch, tmp_path):
    with pytest.raises(UnknownTaskError, match="house-price"):
        gym.make("MLAgent/house-price-v0", task_id="house-prize")
    for kwargs in ({"prompt": "long"}, {"reward": "v3"}, {"variant": "fake"}, {"render_mode": "x"}):
        with pytest.raises(ConfigError):
            MLAgentEnv("house-price", **kwargs)
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path))  # where nothing was prepared
    with pytest.raises(DataMissingError, match="mlagent prepare house-price"):
        gym.make("MLAgent/house-price-v0", variant="real")


def test_unknown_reset_options_are_refused(make_env):
    with pytest.raises(ConfigError, match="stat"):
        make_env().reset(options={"stat": 1})


def litter(script, workspace, data):
    for number in range(1001):
        (workspace / f"junk{number}").touch()
    return quality_run(script, workspace, data)


def test_files_left_behind_that_cannot_be_kept_take_the_step_back(make_env):
    env = make_env(executor=FakeExecutor(litter))
    env.reset(seed=0)
    before = env.unwrapped.state().files
    _, reward, _, _, info = env.step(quality(0.9))
    assert (info["outcome"], reward) == ("corner_case", 0.5)
    assert env.unwrapped.state().files == before
    assert "taken back" in info["feedback"]


def test_messages_can_be_asked_for(make_env):
    env = make_env(observation="messages")
    _, info = env.reset(seed=0)
    assert info["messages"][-1]["role"] == "user"
    _, _, _, _, info = env.step(LIST)
    assert info["messages"][-2] == {"role": "assistant", "content": LIST}


def test_hostile_text_is_only_text(make_env):
    env = make_env()
    env.reset(seed=0)
    for reply in ("\ud800", "\x00" * 9, "Action: " * 1000, edit("\u202e" * 99)):
        observation = env.step(reply)[0]
        observation.encode()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vector_envs_work(tmp_path, mode):
    envs = gym.make_vec(
        "MLAgent/house-price-v0",
        num_envs=2,
        vectorization_mode=mode,
        vector_kwargs={} if mode == "sync" else {"shared_memory": False},
        store=str(tmp_path),
        max_steps=2,
    )
    observations, _ = envs.reset(seed=1)
    assert len(observations) == 2
    _, rewards, _, _, _ = envs.step([LIST, "nonsense"])
    assert rewards.tolist() == [0.5, 0.0]
    _, _, _, truncated, infos = envs.step([LIST, LIST])
    assert truncated.tolist() == [True, True]
    assert infos["outcome"].tolist() == ["non_edit", "non_edit"]
    envs.close()


def test_an_alpha_of_ones_own(make_env):
    env = make_env(reward=RewardConfig("v1", alpha=0.001))
    env.reset(seed=0)
    assert env.step(quality(1.0))[1] == pytest.approx(0.5, abs=0.01)


def test_start_states_are_drawn_from_a_pool(make_env, tmp_path):
    env = RecordEpisode(make_env(), tmp_path / "episodes.jsonl")
    env.reset(seed=0)
    for value in (0.5, 0.6, 0.7):
        env.step(quality(value))
    pool = build_pool([tmp_path / "episodes.jsonl"], tmp_path / "pool.jsonl")
    ids = {state.id for state in pool.states()}
    for start in (pool, str(pool.path)):
        env = make_env(start_states=start, step_wise=True)
        first = env.reset(seed=1)[1]["state_id"]
        drawn = {first, *(env.reset()[1]["state_id"] for _ in range(20))}
        assert drawn == ids
        assert env.reset(seed=1)[1]["state_id"] == first
        assert env.reset(options={"pool": None})[1]["step"] == 0
    by_option = make_env()
    assert by_option.reset(seed=1, options={"pool": pool})[1]["state_id"] == first
    with pytest.raises(StateMismatchError, match="no state of task"):
        make_env(data_seed=1, start_states=pool).reset()


def test_a_reward_can_be_configured_by_its_parameters(make_env):
    env = make_env(reward={"version": "v2", "floor": 0.1})
    env.reset(seed=0)
    assert env.step("nonsense")[1] == -1
    with pytest.raises(ConfigError, match="configures no reward"):
        make_env(reward={"slope": 1})


def test_a_prompt_keeps_to_a_budget_in_the_units_it_is_given(make_env):
    def words(text):
        return len(text.split())

    env = make_env(prompt_budget=900, prompt_count=words)
    env.reset(seed=0)
    lengths = [words(env.step(render("Final Answer", {"final_answer": "w " * 100}))[0])]
    lengths += [words(env.step(LIST)[0]) for _ in range(30)]
    assert max(lengths) <= 900
    assert min(lengths[-5:]) > 700


REWARDED = [("x", 0.0), (LIST, 0.5), (quality(0.9), 1.0)]


def test_gymnasium_wrappers_compose(make_env):
    doubled = gym.wrappers.TransformReward(make_env(max_steps=99), lambda reward: 2 * reward)
    env = gym.wrappers.TimeLimit(doubled, 3)
    env.reset(seed=0)
    steps = [env.step(reply) for reply, _ in REWARDED]
    assert [step[1] for step in steps] == pytest.approx([2 * reward for _, reward in REWARDED])
    assert [step[3] for step in steps] == [False, False, True]
    assert steps[-1][4]["truncated_by"] == ""  # it was not our limit


def test_an_environment_is_made_again_from_its_spec():
    env = gym.make("MLAgent/house-price-v0", max_steps=4, reward={"version": "v2"})
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.spec.kwargs == env.spec.kwargs
    env.close()
    again.close()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vector_envs_hold_different_tasks_and_start_states(make_env, tmp_path, mode):
    env = RecordEpisode(make_env(data_size=None), tmp_path / "episodes.jsonl")
    env.reset(seed=0)
    for value in (0.5, 0.6, 0.7):
        env.step(quality(value))
    pool = build_pool([tmp_path / "episodes.jsonl"], tmp_path / "pool.jsonl")
    kwargs = {"store": str(tmp_path / "store"), "max_steps": 20, "step_wise": True}
    makers = [
        functools.partial(gym.make, "MLAgent/house-price-v0", start_states=pool, **kwargs),
        functools.partial(gym.make, "MLAgent/house-price-v0", start_states=pool, **kwargs),
        functools.partial(gym.make, "MLAgent/spaceship-titanic-v0", **kwargs),
    ]
    vector = gym.vector.SyncVectorEnv if mode == "sync" else gym.vector.AsyncVectorEnv
    envs = vector(makers, **({} if mode == "sync" else {"shared_memory": False}))
    _, infos = envs.reset(seed=[1, 4, 3])
    assert infos["task"].tolist() == ["house-price"] * 2 + ["spaceship-titanic"]
    assert infos["state_id"][0] != infos["state_id"][1]
    steps = infos["step"].tolist()
    _, _, terminated, _, infos = envs.step([LIST] * 3)
    assert terminated.tolist() == [True] * 3
    assert infos["step"].tolist() == [step + 1 for step in steps]
    _, rewards, terminated, _, infos = envs.step([LIST] * 3)  # next-step autoreset: not a step
    assert terminated.tolist() == [False] * 3
    assert rewards.tolist() == [0.0] * 3
    assert infos["step"][2] == 0
    envs.close()


def test_an_episode_that_could_not_be_restored_cannot_be_gone_on_with(make_env):
    env = make_env()
    env.reset(seed=0)
    values = json.loads(env.unwrapped.state().to_json())
    digest = values["files"]["train.py"]
    for broken in ({"files": {"../x": digest}}, {"history": [digest]}):
        with pytest.raises(StateCorruptError):
            env.reset(options={"state": values | broken})
        with pytest.raises(gym.error.ResetNeeded):
            env.unwrapped.step(LIST)
    env.reset(options={"state": values})


def test_a_fault_of_the_machine_leaves_everything_as_it_was(make_env):
    faults = []

    def run(script, workspace, data):
        if faults:
            (workspace / script).write_text("half written")
            raise faults.pop()
        return quality_run(script, workspace, data)

    env = make_env(executor=FakeExecutor(run))
    env.reset(seed=0)
    shown = env.step(quality(0.5))[0]
    before = env.unwrapped.state()
    faults.append(SandboxError("The broker is gone."))
    with pytest.raises(SandboxError):
        env.step(quality(0.9))
    assert env.unwrapped.state() == before
    again = make_env()
    restored, _ = again.reset(options={"state": before})
    assert restored == shown
    assert env.step(quality(0.9))[0] == again.step(quality(0.9))[0]


def test_runs_are_replayed_from_a_cache_that_environments_share(make_env, tmp_path, monkeypatch):
    made = []
    fake = FakeExecutor(lambda *run: made.append(run[0]) or quality_run(*run))
    monkeypatch.setattr("mlagent_gym.sandbox.choice.SandboxExecutor", lambda *_, **__: fake)
    seen = []
    for _ in range(2):
        env = make_env(executor="unsafe", run_cache=tmp_path / "runs")
        env.reset(seed=0)
        made.clear()
        seen.append([env.step(text)[:4] for text in (quality(0.5), LIST, RUN)])
        assert bool(made) == (len(seen) == 1)
    assert seen[0] == seen[1]
    with pytest.raises(ConfigError, match="CachingExecutor"):
        make_env(run_cache=tmp_path / "runs")


def test_further_metrics_and_what_is_suspicious_are_told(make_env, monkeypatch, tmp_path):
    env = make_env()
    task = replace(env.unwrapped.task, also=("rmse",), leak=Leak(1.0, "prices are in the names"))
    env.unwrapped.task = task
    env.unwrapped._data = replace(env.unwrapped._data, variant="real")
    recorded = RecordEpisode(env, tmp_path / "one.jsonl")
    _, info = recorded.reset(seed=0)
    assert (info["also"], info["flag"], info["variant"]) == ({}, "", "real")
    info = recorded.step(quality(0.9))[4]
    assert set(info["also"]) == {"rmse"} and info["also"]["rmse"] > info["score"]
    assert info["flag"] == ""
    perfect = recorded.step(quality(1))[4]
    assert perfect["also"] == {"rmse": 0.0}
    assert "prices are in the names" in perfect["flag"]
    kept = recorded.record.info
    assert (kept["also"], kept["flag"]) == ({"rmse": 0.0}, perfect["flag"])
    assert recorded.step(LIST)[4]["also"] == {}


def test_partial_data_are_labelled_in_all_that_comes_of_them(make_env, monkeypatch, tmp_path):
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path / "cache"))
    task = load_task("house-price")
    raw = data.synthetic(task, size=80).public
    data.prepare_real(task, raw, partial=True)
    with pytest.raises(DataMissingError, match="real-partial"):
        make_env(variant="real")
    env = make_env(variant="real-partial", render_mode="ansi")
    recorded = RecordEpisode(env, tmp_path / "one.jsonl")
    assert recorded.reset(seed=0)[1]["variant"] == "real-partial"
    assert "real-partial data" in env.render()
    assert recorded.step(quality(0.5))[4]["variant"] == "real-partial"
    assert "real-partial data" in env.render()
    record = recorded.record
    assert record.info["variant"] == record.state.variant == "real-partial"
    assert record.env["kwargs"]["variant"] == "real-partial"
    whole = replace(record.next_state, variant="real")
    with pytest.raises(StateMismatchError, match="variant is real"):
        env.reset(options={"state": whole})
