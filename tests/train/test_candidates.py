"""mlagent_train.candidates: ideas out of every task's bank, and out of a model's answers."""

import ast
import json

import pytest

from mlagent_gym import EndpointConfig, load_ideas, load_task, task_ids
from mlagent_train.candidates import ask_for_ideas, combine_ideas
from mlagent_train.errors import EndpointError


@pytest.mark.parametrize("task_id", task_ids())
def test_every_bank_gives_a_hundred_candidates_that_apply_to_the_starter(task_id):
    task = load_task(task_id)
    candidates = combine_ideas(task, 100, seed=0)
    assert len(candidates) >= 100
    assert len({idea.name for idea in candidates}) == len(candidates)
    assert {idea.name for idea in load_ideas(task)} <= {idea.name for idea in candidates}
    starter = task.starter_files()
    results = set()
    for idea in candidates:
        text = starter[idea.script].decode()
        for edit in idea.edits:
            assert text.count(edit.search) == 1, idea.name
            text = text.replace(edit.search, edit.replace)
        ast.parse(text)
        results.add(text)
    assert len(results) >= 100  # they are different scripts, not only different words


def test_candidates_are_variations_pairs_and_triples_and_follow_the_seed():
    task = load_task("house-price")
    candidates = combine_ideas(task, 100, seed=0)
    joined = [idea.name.count("+") for idea in candidates]
    assert {0, 1, 2} <= set(joined)
    varied = [idea for idea in candidates if idea.name.startswith("deeper-trees=")]
    assert varied
    assert all("for MAX_DEPTH, which is 5 now" in idea.idea for idea in varied)
    assert combine_ideas(task, 100, seed=0) == candidates
    assert combine_ideas(task, 100, seed=1) != candidates


def test_a_share_is_never_set_above_one():
    candidates = combine_ideas(load_task("house-price"), 100, seed=0)  # MAX_FEATURES: 1.0 to 0.5
    shares = [
        float(idea.edits[0].replace.removeprefix("MAX_FEATURES = "))
        for idea in candidates
        if idea.name.startswith("some-features-per-split=")
    ]
    assert len(shares) >= 3
    assert max(shares) <= 1


def config(server):
    return EndpointConfig(server.base_url, "some-model", retries=0, completion_price=10.0)


def sentences(first, last):
    return json.dumps([f"Idea number {n}." for n in range(first, last)])


def test_a_model_is_asked_until_it_has_proposed_enough(endpoint, tmp_path):
    bullets = "Here they are:\n- Idea number 19.\n- Try\n2) idea NUMBER 3!\n* And this one."
    server = endpoint(f"```json\n{sentences(0, 20)}\n```", bullets, sentences(30, 50))
    task = load_task("house-price")
    ideas, used = ask_for_ideas(task, 30, config(server), tmp_path)
    assert len(ideas) == 30
    assert [idea.idea for idea in ideas[19:23]] == [
        "Idea number 19.",
        "Try",
        "And this one.",
        "Idea number 30.",
    ]
    assert all(idea.edits == () for idea in ideas)
    assert (used.completion_tokens, used.cost) == (60, pytest.approx(60 * 10 / 1e6))
    first, second, _ = [question["messages"][0]["content"] for question in server.questions]
    assert task.starter_files()["train.py"].decode() in first
    assert "- Idea number 7." in second
    again, used_again = ask_for_ideas(task, 30, config(server), tmp_path)
    assert again == ideas
    assert used_again.cost == 0.0
    assert len(server.questions) == 3


def test_a_model_without_new_ideas_is_not_asked_forever(endpoint, tmp_path):
    server = endpoint(sentences(0, 5))
    with pytest.raises(EndpointError, match=r"proposed 5 of 30 ideas.*ideas\.candidates"):
        ask_for_ideas(load_task("house-price"), 30, config(server), tmp_path)
    assert len(server.questions) == 4
