"""The rules of an episode, without an environment around them."""

from hypothesis import given
from hypothesis import strategies as st

from mlagent_gym.episode import advance
from mlagent_gym.judging import Verdict
from mlagent_gym.state import State
from mlagent_gym.steps import Effect

START = State("t", "synthetic", "f", 0, {}, score=0.5, best_score=0.5)


def after(state, effect, score=None):
    return advance(
        state,
        effect,
        Verdict(score),
        files={},
        exchange="e",
        before="b",
        elapsed_s=0.0,
        higher_is_better=True,
    )


edits = st.tuples(st.sampled_from("abc"), st.none() | st.floats(0, 1))
steps = st.lists(edits | st.sampled_from("abc"), max_size=12)


@given(steps, st.booleans())
def test_the_score_is_that_of_the_last_graded_edit_that_was_not_undone(steps, saved):
    """An edit is a script and what it scored (None: it failed), an undo a script alone."""
    state, done = START, []
    for step in steps:
        if isinstance(step, tuple):
            state = after(state, Effect(edited=step[0]), step[1])
            done.append(step)
        elif step in state.undo:
            state = after(state, Effect(undone=step))
            del done[max(at for at, (path, _) in enumerate(done) if path == step)]
        if saved:
            state = State.from_json(state.to_json())
        graded = [0.5, *(score for _, score in done if score is not None)]
        assert state.score == graded[-1]
        assert {path: len(versions) for path, versions in state.undo.items()} == {
            path: sum(one == path for one, _ in done) for path, _ in done
        }


def test_a_state_of_before_edits_had_an_order_can_be_gone_on_from():
    undo = {"a": (("x", 0.5), ("y", 0.6)), "b": (("z", 0.7),)}
    state = State("t", "synthetic", "f", 0, {}, undo=undo, score=0.8)
    assert after(state, Effect(undone="a")).score == 0.8
    assert after(state, Effect(undone="b")).score == 0.7
    for path in "aab":
        state = after(state, Effect(undone=path))
    assert (state.undo, state.undo_order) == ({}, ())
