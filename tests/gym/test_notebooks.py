"""Notebooks in workspaces are read, edited and run cell by cell; bad ones are feedback."""

import json

import gymnasium as gym
import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat import v4

import mlagent_gym  # noqa: F401 - registers the environments
from mlagent_gym import notebooks
from mlagent_gym.actions import render
from mlagent_gym.errors import WorkspaceError
from mlagent_gym.notebooks import from_text, program, readable, to_text, with_outputs

from .conftest import STARTER, edit

CELLS = [
    v4.new_markdown_cell("# Houses\n\nA start."),
    v4.new_code_cell("%matplotlib inline\nx = 1"),
    v4.new_code_cell("print(x)"),
]
BOOK = nbformat.writes(v4.new_notebook(cells=CELLS)).encode()
TEXT = """\
# %% [markdown]
# # Houses
#
# A start.

# %%
%matplotlib inline
x = 1

# %%
print(x)
"""


def valid(content):
    book = nbformat.reads(content.decode(), as_version=4)
    nbformat.validate(book)
    return book


def test_a_notebook_is_shown_as_text_with_cells():
    assert to_text(BOOK) == TEXT


def test_a_text_with_cells_becomes_the_notebook_again():
    again = from_text(TEXT, BOOK)
    assert to_text(again) == TEXT
    assert [cell.cell_type for cell in valid(again).cells] == ["markdown", "code", "code"]
    assert to_text(from_text(TEXT, None)) == TEXT


def test_code_without_marks_is_one_cell_and_json_is_a_notebook():
    assert [cell.source for cell in valid(from_text("a = 1\n\nb\n", None)).cells] == ["a = 1\n\nb"]
    assert to_text(from_text(BOOK.decode(), None)) == TEXT


@pytest.mark.parametrize(
    "content, why",
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "format 4"),
        (b'{"cells": []}', "format 4"),
        (b'{"nbformat": 4, "cells": {}}', "format 4"),
        (b'{"nbformat": 4, "cells": [1]}', "cell 1"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}', "cell 1"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "x", "source": ""}]}', "cell 1"),
        (b'{"nbformat": 4, "cells": [' + b"{}," * 1000 + b"{}]}", "1000 are most"),
    ],
)
def test_what_is_no_notebook_is_feedback(content, why):
    for use in (to_text, lambda content: program("x.ipynb", content)):
        with pytest.raises(WorkspaceError, match=why):
            use(content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
cells = st.fixed_dictionaries(
    {},
    optional={
        "cell_type": st.sampled_from(["code", "markdown", "raw"]) | json_values,
        "source": st.text() | st.lists(st.text()) | json_values,
        "outputs": json_values,
        "metadata": json_values,
    },
)


@given(st.lists(cells, max_size=3), json_values)
@settings(deadline=None)
def test_any_json_is_a_notebook_or_feedback(cells, metadata):
    content = json.dumps({"nbformat": 4, "cells": cells, "metadata": metadata}).encode()
    try:
        text = to_text(content)
    except WorkspaceError:
        return
    again = from_text(text, content)
    assert to_text(from_text(to_text(again), again)) == to_text(again)
    one = program("x.ipynb", content)
    compile(one.text, "x", "exec")
    valid(with_outputs(again, f"{one.token} 1\nhello\n", one.token))


def test_outputs_go_to_the_cells_that_printed_them():
    one = program("x.ipynb", BOOK)
    output = f"{one.token} 2\n{one.token} 3\n1\n"
    assert readable(output, one.token) == "[cell 2]\n[cell 3]\n1\n"
    cells = valid(with_outputs(BOOK, output, one.token)).cells
    assert [cell.get("execution_count") for cell in cells] == [None, 1, 2]
    assert cells[1].outputs == []
    assert cells[2].outputs[0].text == "1\n"


@given(st.text("<cell:0>9\u0661 \n", max_size=40))
def test_whatever_a_cell_prints_its_notebook_stays_one(printed):
    token = program("x.ipynb", BOOK).token
    output = f"{token} 2\n{token} {'9' * 5000}\n{printed}{token} \u0661\n{token} 3\n1\n"
    cells = valid(with_outputs(BOOK, output, token)).cells
    assert cells[1].outputs[0].text.startswith(f"{token} 999")
    assert cells[2].outputs[0].text == "1\n"
    assert readable(output, token).startswith(f"[cell 2]\n{token} 999")


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    env = gym.make("MLAgent/house-price-v0", data_size=101, store=store)
    yield env
    env.close()


def file_of(env, path):
    return env.unwrapped.store.get(env.unwrapped.state().files[path])


def test_a_notebook_is_edited_run_and_graded_like_a_script(env):
    env.reset(seed=0)
    head, _, tail = STARTER.partition("def features")
    text = f"# %% [markdown]\n# Houses\n# %%\n{head}\n# %%\ndef features{tail}"
    _, _, _, _, info = env.step(edit(text, "train.ipynb"))
    assert (info["run_status"], info["outcome"]) == ("ok", "scored")
    assert info["score"] == pytest.approx(info["initial_score"])
    assert "[cell 3]\nValidation MAE" in info["feedback"]
    assert "Validation MAE" in valid(file_of(env, "train.ipynb")).cells[2].outputs[0].text
    assert set(env.unwrapped.state().files) == {"train.py", "train.ipynb"}

    inspect = render("Inspect Script Lines", {"script_name": "train.ipynb"})
    _, _, _, _, info = env.step(inspect)
    assert "# %% [markdown]\n# Houses" in info["feedback"]

    edits = [{"search": 'print(f"Validation', "replace": '1 / 0\nprint(f"Validation'}]
    change = {"script_name": "train.ipynb", "edits": edits}
    _, _, _, _, info = env.step(render("Edit Script", change))
    assert info["outcome"] == "failed"
    assert 'File "<cell 3>", line' in info["feedback"]
    assert "1 / 0" in info["feedback"]
    assert "ZeroDivisionError" in valid(file_of(env, "train.ipynb")).cells[2].outputs[0].text
    assert "_run_cells" not in info["feedback"]

    _, _, _, _, info = env.step(render("Undo Edit Script", {"script_name": "train.ipynb"}))
    assert "-1 / 0" in info["feedback"]
    _, _, _, _, info = env.step(render("Execute Script", {"script_name": "train.ipynb"}))
    assert (info["run_status"], info["outcome"]) == ("ok", "non_edit")


def test_a_notebook_that_puts_something_else_in_its_place_is_written_anew(env):
    env.reset(seed=0)
    hostile = "import os\nos.remove('x.ipynb')\nos.symlink('/etc/passwd', 'x.ipynb')\nprint('done')"
    _, _, _, _, info = env.step(edit(f"# %%\n{hostile}\n", "x.ipynb"))
    assert "done" in info["feedback"]
    assert valid(file_of(env, "x.ipynb")).cells[0].source == hostile


def test_a_cell_that_prints_the_line_before_a_cell_is_only_text(env):
    env.reset(seed=0)
    name = "os.path.basename(sys.argv[0])[6:22]"
    text = f"import os, sys\nprint(f'<cell:{{{name}}}> ' + '9' * 5000)\n"
    _, _, _, _, info = env.step(edit(text, "x.ipynb"))
    assert info["run_status"] == "ok"
    assert "9" * 5000 in valid(file_of(env, "x.ipynb")).cells[0].outputs[0].text


def test_a_malformed_notebook_is_refused(env):
    env.reset(seed=0)
    _, _, _, _, info = env.step(edit('{"cells": 1}', "x.ipynb"))
    assert info["outcome"] == "invalid"
    assert "format 4" in info["feedback"]
    assert notebooks.is_notebook("a/x.ipynb")
