"""Broken texts and broken states by the thousand: only documented errors, in bounded time.

``MLAGENT_FUZZ`` says how many of each; by default a few, so that every run of the tests
tries some.
"""

import json
import os
import random
import time

import pytest

from mlagent_gym import INFO_KEYS, load_ideas, load_task
from mlagent_gym.actions import ACTIONS, parse, render, skeleton
from mlagent_gym.errors import StateError, StoreError
from mlagent_gym.state import State

from .conftest import TASK, quality

COUNT = int(os.environ.get("MLAGENT_FUZZ", "1500"))
PIECES = ["{", "}", "[", "]", '"', "\\", "\n", ":", ",", "Action:", "Action Input:", "```", "null"]
PIECES += [
    "\x00",
    "\ud800",
    "\u2028",
    "é",
    "../",
    "NaN",
    "1e999",
    "-1",
    "true",
    " " * 99,
    "[" * 999,
]
PIECES += list(ACTIONS)


def seeds_of_texts():
    """Return replies to break: every action's form, and edits that run."""
    for name in ACTIONS:
        yield skeleton(name)
    for idea in load_ideas(load_task(TASK)):
        edits = [{"search": edit.search, "replace": edit.replace} for edit in idea.edits]
        yield render("Edit Script", {"script_name": idea.script, "edits": edits})
    yield from (quality(0.5), "", "I will improve the model now.")


def broken(rng, text, pieces):
    """Return a text with some of it cut, doubled, swapped or overwritten."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        a, b = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        text = rng.choice(
            (
                text[:a] + text[b:],
                text[:a] + text[a:b] * 2 + text[b:],
                text[:a] + rng.choice(pieces) + text[a:],
                text[:a] + rng.choice(pieces) + text[b:],
                text[:a] + chr(rng.randrange(0xD000)) + text[a + 1 :],
                text[b:] + text[:a],
            )
        )
    return text


@pytest.mark.timeout(3600)
def test_broken_replies_are_actions_and_never_errors(make_env):
    rng, seeds = random.Random(0), list(seeds_of_texts())
    env = make_env(max_steps=10**9, prompt="compact")
    valid, slowest = 0, 0.0
    for number in range(COUNT):
        if number % 50 == 0:
            env.reset(seed=0)
        text = broken(rng, rng.choice(seeds), PIECES)
        started = time.process_time()
        parse(text)
        slowest = max(slowest, time.process_time() - started)
        info = env.step(text)[4]
        assert set(info) == set(INFO_KEYS)
        valid += info["valid"]
    assert 0.02 * COUNT < valid < 0.98 * COUNT  # it reaches both sides of the parser
    assert slowest < 0.5


@pytest.mark.timeout(3600)
def test_broken_states_are_refused_with_a_documented_error(make_env):
    rng = random.Random(0)
    env = make_env(max_steps=10**9, prompt="compact")
    env.reset(seed=0)
    env.step(quality(0.5))
    env.step(quality(0.6))
    text = env.unwrapped.state().to_json()
    pieces = ['"', "null", "1e999", "-1", "{}", "[]", "0" * 64, "é", "NaN", "../../x", "\x00"]
    values = [None, -1, 1e308, "", "x", "../x", [], {}, [[None, 1]], True, 2**70, -1e308]
    digest = env.unwrapped.state().files["train.py"]
    values += [{path: digest} for path in ("a//b", "../x", "./a", "/x", "\n")]
    values += [{"a/b": digest, "a": digest}, {"a": digest, "a/b": digest}, [digest], [[digest, 1]]]
    refused = 0
    for number in range(COUNT):
        try:
            if number % 2:
                state = State.from_json(broken(rng, text, pieces))
            else:
                table = json.loads(text)
                table[rng.choice(list(table))] = rng.choice(values)
                state = State.from_dict(table)
            env.reset(options={"state": state})
            env.step("nonsense")
        except (StateError, StoreError):
            refused += 1
    assert refused > 0.5 * COUNT
    env.reset(options={"state": json.loads(text)})  # it still works
    assert env.unwrapped.state().to_json() == text
