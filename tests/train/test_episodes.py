"""mlagent_train.jobs.episodes: every step kept, resumed at the step, stopped at a limit."""

import asyncio
import csv
import hashlib
import json
import types
from dataclasses import replace

import pytest

from mlagent_gym import FakeExecutor, Run, RunStatus, Store, read_records, render
from mlagent_gym.replay import regrade, replay
from mlagent_train.agents import Reply, Sampling
from mlagent_train.envs.stepping import Stepper
from mlagent_train.errors import ConfigError
from mlagent_train.jobs.budget import SpendingLimits
from mlagent_train.jobs.episodes import run_plan
from mlagent_train.jobs.plan_file import Episode, EpisodePlan

TASK = "house-price"
KWARGS = {"data_size": 98, "max_steps": 4, "prompt": "compact"}  # data of their own
LIST = render("List Files", {"dir_path": "."}, thought="Look first.")
LAST = render("Final Answer", {"final_answer": "Done."})


def scored(script, workspace, data):
    """Score a script by its digest, without running it."""
    digest = hashlib.sha256((workspace / script).read_bytes()).digest()
    quality = 0.2 + digest[0] / 512
    with (data.parent / "private" / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (workspace / "submission.csv").open("w") as file:
        file.write("Id,SalePrice\n")
        file.writelines(f"{row['Id']},{float(row['SalePrice']) * quality}\n" for row in rows)
    return Run(RunStatus.OK, f"validation score: {quality}\n", exit_code=0, wall_s=0.1)


class LocalPool:
    """The pool's ``step`` without Ray; fails for good after some steps."""

    def __init__(self, store, steps=10**9):
        kwargs = {**KWARGS, "executor": FakeExecutor(scored), "store": store}
        self._stepper = Stepper(kwargs)
        self._left = steps
        self.steps = 0
        self.step = types.SimpleNamespace(remote=self._step)

    async def _step(self, request, tags):
        if request.reply is not None:
            if self.steps == self._left:
                raise KeyboardInterrupt("killed")
            self.steps += 1
        return types.SimpleNamespace(result=self._stepper.run(request))


@pytest.fixture
def plan(tmp_path):
    def make(policy="scripted:expert", count=3, **changes):
        episodes = tuple(
            Episode(f"{TASK}-{n}", TASK, f"MLAgent/{TASK}-v0", env_seed=0, seed=n)
            for n in range(count)
        )
        (tmp_path / "episodes").mkdir(exist_ok=True)
        made = EpisodePlan(str(tmp_path / "episodes"), episodes, 4, at_once=1, policy=policy)
        return replace(made, **changes)

    return make


def run(plan, pool):
    asyncio.run(run_plan(plan, pool))
    return finished(plan)


def finished(plan):
    paths = [f"{plan.folder}/{episode.name}.jsonl" for episode in plan.episodes]
    return [list(read_records(path)) for path in paths]


def what_happened(trajectories):
    return [
        [(one.episode, one.reply, one.reward, one.state.id, one.next_state.id) for one in records]
        for records in trajectories
    ]


def test_a_plan_survives_being_written_and_read(plan, tmp_path):
    made = plan(sampling=Sampling(temperature=0.1), limits=SpendingLimits(tokens=3))
    made.save(tmp_path / "plan.json")
    assert EpisodePlan.load(tmp_path / "plan.json") == made


def test_an_episode_is_a_recording_that_can_be_replayed_and_graded_again(plan, tmp_path):
    made = plan(count=1)
    (records,) = run(made, LocalPool(tmp_path / "store"))
    assert [one.state.id for one in records[1:]] == [one.next_state.id for one in records[:-1]]
    assert records[-1].terminated or len(records) == 4
    path = f"{made.folder}/{TASK}-0.jsonl"
    local = {"store": tmp_path / "store", "executor": FakeExecutor(scored)}
    assert all(not one.differences for one in replay(path, **local))
    graded = list(regrade(path, Store(tmp_path / "store")))
    assert graded
    assert all(one.same for one in graded)


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_a_killed_job_goes_on_after_the_last_step(steps, plan, tmp_path):
    whole = plan(folder=str(tmp_path / "whole"))
    (tmp_path / "whole").mkdir()
    expected = run(whole, LocalPool(tmp_path / "store"))
    made = plan()
    with pytest.raises(BaseException, match="killed"):
        run(made, LocalPool(tmp_path / "store", steps))
    pool = LocalPool(tmp_path / "store")
    assert what_happened(run(made, pool)) == what_happened(expected)
    assert pool.steps == sum(map(len, expected)) - steps


def openai(plan, **changes):
    return plan("openai:some-model", sampling=Sampling(temperature=0.3), **changes)


def test_ideas_stand_in_the_first_prompt_of_a_model_and_in_no_record(plan, endpoint, tmp_path):
    server = endpoint(LIST, LAST)
    made = openai(plan, count=1)
    hinted = replace(made.episodes[0], hints=("Try deeper trees.", "Try more of them."))
    (records,) = run(replace(made, episodes=(hinted,)), LocalPool(tmp_path / "store"))
    first, second = [question["messages"] for question in server.questions]
    assert first[-1]["content"].endswith("1. Try deeper trees.\n2. Try more of them.")
    assert "Try deeper trees" not in json.dumps([second, [dict(one.info) for one in records]])
    assert first[-1]["content"].startswith(records[0].messages[-1]["content"])
    assert "Try deeper trees" not in json.dumps(records[0].messages)


def test_a_limit_stops_the_job_and_a_higher_one_goes_on(plan, endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("MLAGENT_PRICES", "0,1000000")  # a dollar a token: 20 a reply
    server = endpoint(LIST, LIST, LAST, LIST, LAST)
    made = openai(plan, count=2, limits=SpendingLimits(dollars=60))
    with pytest.raises(Exception, match=TASK):  # the second trajectory is not there
        run(made, LocalPool(tmp_path / "store"))
    reason = json.loads(made.stopped.read_text())["reason"]
    assert reason == "collect.max_dollars = 60 is reached: 60 spent"
    assert len(server.questions) == 3
    still = replace(made, limits=SpendingLimits(dollars=60))
    with pytest.raises(Exception, match=TASK):  # what was spent before is not forgotten
        run(still, LocalPool(tmp_path / "store"))
    assert len(server.questions) == 3
    more = run(replace(made, limits=SpendingLimits(dollars=100)), LocalPool(tmp_path / "store"))
    assert [len(records) for records in more] == [3, 2]
    assert sum(one.resources["cost"] for records in more for one in records) == 100.0


def test_an_endpoint_that_fails_ends_one_round_of_one_episode(plan, endpoint, tmp_path):
    garbage = {"choices": []}
    endpoint(LIST, garbage, LAST)
    made = openai(plan, count=2)
    with pytest.raises(Exception, match=f"{TASK}-0"):
        run(made, LocalPool(tmp_path / "store"))  # the other one is done
    assert "did not answer" in json.loads(made.unanswered.read_text())["reason"]
    assert [len(records) for records in run(made, LocalPool(tmp_path / "store"))] == [2, 1]


def test_as_many_questions_are_asked_at_once_as_there_are_episodes_at_once(
    plan, endpoint, tmp_path, monkeypatch
):
    from mlagent_train.agents.endpoint import EndpointAgent

    waiting = []

    async def act(self, turn):
        async with self._gate:
            waiting.append(turn)
            while len(waiting) < 12:  # none is answered before all have been asked
                await asyncio.sleep(0.01)
            return Reply(LAST)

    monkeypatch.setattr(EndpointAgent, "act", act)
    endpoint(LAST)
    made = openai(plan, count=12, at_once=12)
    pool = LocalPool(tmp_path / "store")
    asyncio.run(asyncio.wait_for(run_plan(made, pool), timeout=60))
    assert len(finished(made)) == 12


def test_a_key_that_is_refused_stops_the_job(plan, endpoint, tmp_path):
    server = endpoint(401)
    with pytest.RaisesGroup(pytest.RaisesExc(ConfigError, match="refuses")):
        run(openai(plan), LocalPool(tmp_path / "store"))
    assert len(server.questions) == 1


def test_requests_are_spread_over_time(plan, endpoint, tmp_path):
    import time

    endpoint(LAST)
    started = time.monotonic()
    made = openai(plan, limits=SpendingLimits(requests_per_minute=120), at_once=3)
    run(made, LocalPool(tmp_path / "store"))
    assert time.monotonic() - started >= 1.0  # the second and third wait half a second each
