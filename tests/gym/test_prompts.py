"""A prompt never exceeds its budget, and loses the oldest steps first."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlagent_gym.errors import ConfigError
from mlagent_gym.prompts import PRESETS, View, load_template, render_messages, render_text

VIEW = View(
    title="Housing prices",
    description="Predict the price of houses.",
    metric="mae",
    higher_is_better=False,
    actions="- List Files: ...",
    form="Action: ...",
    script="import os\n\nEPOCHS = 3\nRATE: float = 0.1  # step\nlower = 2\nif EPOCHS == 4: X = 1",
    history=[],
    max_steps=15,
    max_seconds=1800,
)
HISTORY = [(f"reply {i}", f"feedback {i}", f"summary {i}") for i in range(6)]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_prompt_ends_with_the_users_turn(preset):
    view = dataclasses.replace(VIEW, history=HISTORY)
    messages = render_messages(load_template(preset), view)
    assert messages[-1]["role"] == "user"
    assert "summary 5" in messages[-1]["content"] or "feedback 5" in messages[-1]["content"]


@pytest.mark.parametrize("preset", ["mlab", "compact"])
def test_the_prompt_names_the_step(preset):
    view = dataclasses.replace(VIEW, history=HISTORY)
    assert "tep 7 of 15" in render_text(render_messages(load_template(preset), view))


def test_the_dialogue_alternates_replies_and_feedback():
    view = dataclasses.replace(VIEW, history=HISTORY[:2])
    messages = render_messages(load_template("mlab"), view)
    assert [message["role"] for message in messages] == ["user", "assistant"] * 2 + ["user"]
    assert messages[1]["content"] == "reply 0"
    assert messages[2]["content"] == "feedback 0"
    assert messages[4]["content"].startswith("feedback 1")
    assert "EPOCHS = 3" in messages[4]["content"]


def test_the_summary_shows_knobs_steps_and_the_last_feedback():
    view = dataclasses.replace(VIEW, history=HISTORY)
    text = render_text(render_messages(load_template("compact"), view))
    assert "EPOCHS = 3\nRATE: float = 0.1  # step\n" in text
    assert "lower = 2" not in text
    assert "EPOCHS == 4" not in text
    assert "1. summary 0\n" in text
    assert "6. summary 5" in text
    assert "feedback 5" in text
    assert "feedback 4" not in text


@pytest.mark.parametrize("preset", PRESETS)
def test_the_oldest_steps_are_left_out_first_and_that_is_said(preset):
    template = load_template(preset)
    long = [(f"reply {i} " * 40, f"feedback {i} " * 40, f"summary {i} " * 40) for i in range(6)]
    view = dataclasses.replace(VIEW, history=long)
    full = len(render_text(render_messages(template, view, budget=10**6)))
    text = render_text(render_messages(template, view, budget=full - 300))
    assert "summary 0" not in text
    assert "reply 0" not in text
    assert "5" in text
    assert "[1 earlier" in text or "[2 earlier" in text


@given(
    preset=st.sampled_from(PRESETS),
    history=st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=5),
    script=st.text(),
    description=st.text(),
    budget=st.integers(0, 3000),
    by_words=st.booleans(),
)
def test_a_prompt_never_exceeds_its_budget(preset, history, script, description, budget, by_words):
    def count(text):
        return len(text.split()) if by_words else len(text)

    view = dataclasses.replace(VIEW, history=history, script=script, description=description)
    messages = render_messages(load_template(preset), view, budget=budget, count=count)
    assert count(render_text(messages)) <= budget


def test_a_template_can_be_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'style = "summary"\nbudget = 99\nopening = "$title"\nclosing = "Go."\nleft_out = ""\n'
    )
    assert render_text(render_messages(load_template(str(path)), VIEW)) == "Housing prices\nGo."


def test_a_template_says_how_constants_are_listed(tmp_path):
    path = tmp_path / "numbered.toml"
    path.write_text(
        'style = "summary"\nbudget = 99\nopening = "$knobs"\nclosing = "Go."\nleft_out = ""\n'
        'knob = "$number) $name is $value"\n'
    )
    text = render_text(render_messages(load_template(str(path)), VIEW))
    assert text == "1) EPOCHS is 3\n2) RATE is 0.1  # step\nGo."


def test_a_template_may_list_constants_in_an_order_of_each_state(tmp_path):
    path = tmp_path / "shuffled.toml"
    path.write_text(
        'style = "summary"\nbudget = 99\nopening = "$knobs"\nclosing = "Go."\nleft_out = ""\n'
        'knob = "$number) $name"\nshuffle_knobs = true\n'
    )
    template = load_template(str(path))
    script = "A = 1\nB = 2\nC = 3\nD = 4\n"
    states = [dataclasses.replace(VIEW, script=script, history=HISTORY[:i]) for i in range(6)]
    states += [dataclasses.replace(VIEW, script=script.replace("3", "5"))]
    listed = [render_text(render_messages(template, state)) for state in states]
    assert listed == [render_text(render_messages(template, state)) for state in states]
    assert len(set(listed)) > 4
    for text in listed:
        assert sorted(line[3:] for line in text.split("\n")[:4]) == ["A", "B", "C", "D"]
        assert [line[:3] for line in text.split("\n")[:4]] == ["1) ", "2) ", "3) ", "4) "]


def test_a_wrong_template_says_what_is_known(tmp_path):
    with pytest.raises(ConfigError, match="compact, mlab"):
        load_template("verbose")
    path = tmp_path / "bad.toml"
    path.write_text("style = 3")
    with pytest.raises(ConfigError, match="not a prompt template"):
        load_template(str(path))
