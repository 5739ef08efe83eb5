"""A state survives being saved, and what is not a state is refused with a reason."""

import contextlib
import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlagent_gym.errors import StateCorruptError, StateVersionError
from mlagent_gym.state import SCHEMA, Exchange, State, as_state

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
scores = st.none() | st.floats(allow_nan=False, allow_infinity=False)
states = st.builds(
    State,
    task=st.just("house-price"),
    variant=st.sampled_from(["real", "synthetic"]),
    fingerprint=digests,
    seed=st.integers(0, 2**31),
    files=st.dictionaries(st.text(max_size=20), digests, max_size=5),
    history=st.lists(digests, max_size=5).map(tuple),
    undo=st.dictionaries(
        st.text(max_size=5), st.lists(st.tuples(st.none() | digests, scores), max_size=3).map(tuple)
    ),
    undo_order=st.lists(st.tuples(st.text(max_size=5), st.booleans()), max_size=3).map(tuple),
    score=scores,
    best_score=scores,
    step=st.integers(0, 15),
    elapsed_s=st.floats(0, 1e5),
    final=st.booleans(),
)


@given(states)
def test_saving_and_loading_is_identity(state):
    again = State.from_json(state.to_json())
    assert again == state
    assert again.id == state.id


@given(states, states)
def test_ids_tell_states_apart(a, b):
    a, b = (dataclasses.replace(state, elapsed_s=0.0) for state in (a, b))
    assert (a.id == b.id) == (a == b)


@given(states)
def test_the_time_it_took_is_no_part_of_the_id(state):
    assert dataclasses.replace(state, elapsed_s=state.elapsed_s + 1).id == state.id


@given(states, st.data())
def test_corrupted_text_is_refused_with_a_typed_error(state, data):
    text = state.to_json()
    at = data.draw(st.integers(0, len(text) - 1))
    broken = text[:at] + data.draw(st.text(max_size=3)) + text[at + 1 :]
    with contextlib.suppress(StateCorruptError, StateVersionError):
        assert isinstance(State.from_json(broken), State)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "task: field required"),
        (b"\xff\xfe\x00", "not JSON"),
    ],
)
def test_what_is_not_a_state_says_so(text, message):
    with pytest.raises(StateCorruptError, match=message):
        State.from_json(text)


def test_a_newer_state_asks_for_an_upgrade():
    with pytest.raises(StateVersionError, match="Upgrade"):
        State.from_json(json.dumps({"schema": SCHEMA + 1}))


def test_states_that_say_no_order_of_edits_keep_their_ids():
    """So that states saved before there was one are the same states."""
    state = State("t", "real", "f", 0, {}, undo={"a.py": ((None, 0.5),)})
    assert "undo_order" not in json.loads(state.to_json())
    assert state.id.startswith("9ddf5afc664606fa")
    assert State.from_json(state.to_json()).undo_order == ()


def test_an_unknown_key_is_refused():
    values = json.loads(State("t", "real", "f", 0, {}).to_json()) | {"score_bonus": 1}
    with pytest.raises(StateCorruptError, match="score_bonus"):
        State.from_dict(values)


def test_a_state_can_be_given_in_three_ways(tmp_path):
    state = State("t", "real", "f", 0, {"a": "b"})
    state.save(tmp_path / "state.json")
    for value in (state, json.loads(state.to_json()), tmp_path / "state.json"):
        assert as_state(value) == state
    with pytest.raises(StateCorruptError, match="nowhere"):
        as_state(tmp_path / "nowhere")


def test_a_state_after_fifteen_steps_is_a_few_kilobytes():
    files = {f"file_{i}.py": "f" * 64 for i in range(5)}
    state = State("t" * 40, "synthetic", "f" * 64, 1, files, history=("h" * 64,) * 15)
    assert len(state.to_json()) < 2500


@given(st.text(), st.text(), st.text())
def test_exchanges_survive_saving(reply, feedback, summary):
    exchange = Exchange(reply, feedback, summary)
    assert Exchange.from_json(exchange.to_json()) == exchange
