"""Edits apply exactly, or say precisely why not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlagent_gym.edits import apply_edits, changed_lines, unified_diff
from mlagent_gym.errors import WorkspaceError

SOURCE = "EPOCHS = 3\nRATE = 0.1\nprint(EPOCHS)\n"


def test_edits_are_applied_in_order():
    edits = [("EPOCHS = 3", "EPOCHS = 5"), ("EPOCHS = 5", "EPOCHS = 8")]
    assert apply_edits(SOURCE, edits) == SOURCE.replace("= 3", "= 8")


def test_an_ambiguous_search_names_the_lines():
    with pytest.raises(WorkspaceError, match=r"occurs 2 times \(from lines 1, 3\)"):
        apply_edits(SOURCE, [("EPOCHS", "N")])


def test_a_missing_search_shows_the_nearest_line():
    with pytest.raises(WorkspaceError, match=r"Edit 2 .* nearest line is: 'RATE = 0.1'"):
        apply_edits(SOURCE, [("EPOCHS = 3", "EPOCHS = 4"), ("RATE = 0.01", "RATE = 1")])


@given(st.text("abc\n"), st.text("abc\n"), st.text("abc\n"))
def test_replacing_there_and_back_is_identity(head, tail, inner):
    source, search, replace = head + "<old>" + tail, "<old>", f"<{inner}>"
    changed = apply_edits(source, [(search, replace)])
    assert changed == head + replace + tail
    assert apply_edits(changed, [(replace, search)]) == source


@given(st.text("ab"), st.text("ab", min_size=1), st.text("ab"))
def test_an_edit_is_never_a_guess(source, search, replace):
    places = sum(source.startswith(search, at) for at in range(len(source)))
    if places == 1:
        assert apply_edits(source, [(search, replace)]) == source.replace(search, replace)
    else:
        with pytest.raises(WorkspaceError):
            apply_edits(source, [(search, replace)])


def test_the_diff_shows_both_sides():
    diff = unified_diff(SOURCE, SOURCE.replace("= 3", "= 9"), "train.py")
    assert "-EPOCHS = 3" in diff
    assert "+EPOCHS = 9" in diff


def test_changed_lines_leave_out_headers_and_blank_lines():
    assert changed_lines("a\nb\n", "a\n\nc\n") == (["b"], ["c"])
