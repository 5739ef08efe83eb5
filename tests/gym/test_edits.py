"""Edits apply exactly, or say precisely why not."""

import difflib
import re
import time

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


def test_a_text_of_many_places_is_refused_at_once():
    source = "\n" * 2**20
    with pytest.raises(WorkspaceError, match=r"more than 10 times \(from lines 1, 2, .*10, \.\.\."):
        apply_edits(source, [("\n", "x")])


def few_symbols(lines, symbols=100):
    """Return lines that share no run of two with the same from another offset."""
    return [f"{number * number % symbols}{number % 7}" for number in range(lines)]


HOSTILE = {
    "few symbols": (few_symbols(100_000, 50), few_symbols(100_000, 60)),
    "one match a pass": (
        [line for number in range(50_000) for line in ("s", f"a{number}")],
        [line for number in range(99) for line in ("s", f"b{number}")],
    ),
    "two long lines": (["a" * 2**20], ["b" * 2**20]),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_change_that_takes_long_to_compare_is_only_counted(case):
    before, after = HOSTILE[case]
    started = time.process_time()
    diff = unified_diff("\n".join(before), "\n".join(after), "x.py")
    removed, added = changed_lines("\n".join(before), "\n".join(after))
    assert time.process_time() - started < 5
    assert diff.splitlines()[2] == "(the change is too long to show)"
    assert 0 < len(removed) <= len(before)
    assert 0 < len(added) <= len(after)


def test_what_may_be_compared_does_not_take_long():
    for old, new in ((500, 199), (1200, 1200), (199, 199)):
        before = [line for number in range(old // 2) for line in ("s", f"a{number}")]
        after = [line for number in range(new // 2) for line in ("s", f"b{number}")]
        started = time.process_time()
        assert "@@" in unified_diff("\n".join(before), "\n".join(after), "x.py")
        assert time.process_time() - started < 5


@pytest.mark.parametrize("after", [few_symbols(4000), [*few_symbols(9000), "end"]])
def test_a_small_change_of_a_long_text_is_shown_with_its_lines(after):
    before = [*after[:3000], "old", *after[3000:]]
    diff = unified_diff("\n".join(before), "\n".join(after), "x.py")
    expected = difflib.unified_diff(
        before, after, "x.py (before)", "x.py (after)", lineterm="", n=3
    )
    assert diff.splitlines()[:3] == list(expected)[:3]
    assert "-old" in diff
    assert changed_lines("\n".join(before), "\n".join(after)) == (["old"], [])


def test_a_long_text_that_is_new_is_shown():
    lines = few_symbols(5000)
    diff = unified_diff("", "\n".join(lines), "x.py")
    assert diff.splitlines()[3:] == ["+" + line for line in lines]


@given(st.lists(st.sampled_from("ab")), st.lists(st.sampled_from("ab")), st.integers(0, 3))
def test_a_diff_leads_from_one_text_to_the_other(before, after, far):
    """Whatever is left out before the first line that differs."""
    before, after = ([*["same"] * 3000 * far, *lines, "end"] for lines in (before, after))
    lines = unified_diff("\n".join(before), "\n".join(after), "x.py").splitlines()
    at, built = 0, []
    for line in lines[2:]:
        if found := re.fullmatch(r"@@ -(\d+)(,0)?.*@@", line):
            to = int(found[1]) - (0 if found[2] else 1)
            built += before[at:to]
            at = to
            continue
        assert line[0] == "+" or before[at] == line[1:]
        built += [line[1:]] * (line[0] in " +")
        at += line[0] in " -"
    assert built + before[at:] == after


@pytest.mark.parametrize("size", [10, 100_000])
def test_the_nearest_line_is_found_soon(size):
    lines = [f"{number * number % 997:0200d}"[::-1] for number in range(size)]
    started = time.process_time()
    with pytest.raises(WorkspaceError, match="does not occur in the script"):
        apply_edits("\n".join(lines), [("1" * 60 + "0" * 60 + "2" * 10**5, "")])
    assert time.process_time() - started < 5
