"""Old trajectories get the scores of a mended metric without anything being run."""

import dataclasses

import pytest

from benchmarks import regrade as module
from benchmarks.regrade import regrade_results
from benchmarks.results import open_results
from mlagent_gym import replay
from mlagent_gym.errors import SubmissionError

pytestmark = pytest.mark.train


@pytest.fixture
def mended(monkeypatch):
    """A grader whose scores are twice what they were."""
    grade = replay.grading.grade

    def twice(task, answers, submission):
        graded = grade(task, answers, submission)
        return dataclasses.replace(graded, score=2 * graded.score)

    monkeypatch.setattr(replay.grading, "grade", twice)
    monkeypatch.setattr(module, "grade", twice)


def test_without_a_change_nothing_changes(bench):
    results = bench()
    before = results.summary()
    made = regrade_results(results)
    assert made["changed"] == 0
    graded = sum(row.graded for row in results.trajectories())
    assert made["graded"] == graded > 0
    assert results.summary() == before


def test_a_mended_metric_gives_new_scores_and_leaves_the_steps(bench, mended):
    results = bench()
    before = {(row.task, row.number): row for row in results.trajectories()}
    written = {path: path.read_bytes() for path in results.folder.rglob("*.jsonl")}
    made = regrade_results(results)
    assert made["changed"] == made["graded"] > 0
    for row in open_results(results.folder).trajectories():
        old = before[row.task, row.number]
        assert row.scores == tuple(s if s is None else 2 * s for s in old.scores)
    assert written == {path: path.read_bytes() for path in results.folder.rglob("*.jsonl")}


def test_gains_of_two_metrics_are_flagged(bench, mended, monkeypatch):
    assert not bench().summary().flags
    monkeypatch.setattr(module, "load_scores", lambda task: {})  # nobody measured the data anew
    results = bench()
    made = regrade_results(results)
    assert made["unscaled"] == sorted(results.protocol.tasks)
    assert len(results.summary().flags) == len(list(results.trajectories()))
    assert all("mlagent measure" in flag for flag in results.summary().flags.values())


def test_the_starters_score_is_that_of_the_starter_it_began_with(bench, monkeypatch):
    results = bench()
    assert set(regrade_results(results)["ends"]) == set(results.protocol.tasks)
    digest = module.digest_of
    monkeypatch.setattr(module, "digest_of", lambda content: digest(content + b"# edited since"))
    assert regrade_results(results)["ends"] == {}


def test_a_submission_that_is_not_valid_any_more_has_no_score(bench, monkeypatch):
    results = bench()

    def refuse(task, answers, submission):
        raise SubmissionError("This is not allowed any more.")

    monkeypatch.setattr(replay.grading, "grade", refuse)
    made = regrade_results(results)
    assert made["changed"] == made["graded"] > 0
    for row in results.trajectories():
        assert set(row.scores) == {None}
        assert row.best == row.initial
        assert "invalid submission" in row.failures


def test_accuracy_is_reported_where_the_paper_does(bench):
    task = "detecting-insults-in-social-commentary"
    results = bench(tasks=(task,), trajectories=1, max_steps=12)
    (row,) = results.trajectories()
    best = [r for r in results.records(task, 0) if r.submission and r.info["score"] == row.best]
    assert row.also["accuracy_at_half"] == best[0].info["also"]["accuracy_at_half"]
    assert 0 < row.also["accuracy_at_half"] < 1
    average, of_the_best = results.summary().tasks[task].also["accuracy_at_half"]
    assert average == of_the_best == row.also["accuracy_at_half"]
