"""Replaying a recording gives what was recorded, and tells where it does not."""

import dataclasses

import pytest

from mlagent_gym import FakeExecutor
from mlagent_gym.actions import render
from mlagent_gym.errors import RecordError, StoreError
from mlagent_gym.recording import RecordEpisode
from mlagent_gym.records import append_record, read_records
from mlagent_gym.replay import regrade, replay
from mlagent_gym.store import Store

from .conftest import edit, quality, quality_run

REPLIES = [quality(0.7), "nonsense", edit("raise"), quality(0.9)]
REPLIES += [render("Undo Edit Script", {"script_name": "train.py"})]


@pytest.fixture
def recorded(make_env, tmp_path):
    path = tmp_path / "episodes.jsonl"
    env = RecordEpisode(make_env(), path)
    env.reset(seed=0)
    for reply in REPLIES:
        env.step(reply)
    return path


@pytest.fixture
def again(recorded, tmp_path):
    def again(run=quality_run, path=recorded):
        return list(replay(path, executor=FakeExecutor(run), store=tmp_path / "store"))

    return again


def test_the_same_machine_gives_the_same_results(again):
    compared = again()
    assert len(compared) == len(REPLIES)
    assert all(not one.differences for one in compared)


def test_other_results_are_told_step_by_step(again):
    def worse(script, workspace, data):
        text = (workspace / script).read_text()
        (workspace / script).write_text(text.replace("0.9", "0.8"))
        run = quality_run(script, workspace, data)
        (workspace / script).write_text(text)
        return run

    compared = again(worse)
    assert [one.same for one in compared] == [True, True, True, False, True]
    fields = {difference.field for difference in compared[3].differences}
    assert {"score", "best_score"} <= fields


def test_other_texts_are_told_but_are_no_other_result(again):
    def chatty(script, workspace, data):
        run = quality_run(script, workspace, data)
        return dataclasses.replace(run, output=run.output + "took 3.1 s\n")

    first = again(chatty)[0]
    assert first.same
    assert {difference.field for difference in first.differences} == {"feedback", "next_prompt"}


def test_grading_again_runs_nothing(recorded, tmp_path):
    store = Store(tmp_path / "store")
    compared = list(regrade(recorded, store))
    assert [one.record.reply for one in compared] == [REPLIES[0], REPLIES[3]]
    assert all(not one.differences for one in compared)
    first = next(read_records(recorded))
    wrong = dataclasses.replace(
        first, next_state=dataclasses.replace(first.next_state, score=1.0), submission=None
    )
    forged = tmp_path / "forged.jsonl"
    append_record(forged, dataclasses.replace(wrong, submission=first.submission))
    append_record(forged, wrong)
    append_record(forged, dataclasses.replace(first, submission=store.put(b"Id,SalePrice\n")))
    scored, invalid = regrade(forged, store)
    assert scored.differences[0].recorded == 1.0
    assert not scored.same
    assert not invalid.same


def test_what_is_missing_says_so(recorded, tmp_path):
    with pytest.raises(StoreError):
        list(replay(recorded, executor=FakeExecutor(quality_run), store=tmp_path / "other"))
    with pytest.raises(StoreError):
        list(regrade(recorded, Store(tmp_path / "other")))
    first = next(read_records(recorded))
    elsewhere = tmp_path / "elsewhere.jsonl"
    append_record(elsewhere, dataclasses.replace(first, env={"id": "MLAgent/gone-v0"}))
    with pytest.raises(RecordError, match="cannot be made"):
        list(replay(elsewhere))
    foreign = tmp_path / "foreign.jsonl"
    append_record(foreign, dataclasses.replace(first, env={"id": "antigravity:MLAgent/x-v0"}))
    with pytest.raises(RecordError, match="no environment of this package"):
        list(replay(foreign))
    other = tmp_path / "other.jsonl"
    kwargs = {**first.env["kwargs"], "data_seed": 5}
    append_record(other, dataclasses.replace(first, env={**first.env, "kwargs": kwargs}))
    with pytest.raises(RecordError, match="other data"):
        list(regrade(other, Store(tmp_path / "store")))
