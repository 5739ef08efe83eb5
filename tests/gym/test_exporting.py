"""What is exported of a recording: its best script, a notebook that runs it again, chats."""

import json
import re

import gymnasium as gym
import nbformat
import pytest
from typer.testing import CliRunner

from mlagent_gym import data, grading
from mlagent_gym.actions import render
from mlagent_gym.cli import app
from mlagent_gym.errors import UsageError
from mlagent_gym.exporting import best_of, chats, episode_of, notebook, store_of
from mlagent_gym.exporting.notebook import split
from mlagent_gym.recording import RecordEpisode
from mlagent_gym.records import read_records
from mlagent_gym.tasks import load_task

from .conftest import STARTER, edit, quality

REAL_SIZE = 103  # data that no test with a fake executor has measured

LIST = render("List Files", {"dir_path": "."}, thought="Look <b>around</b> [x](javascript:1)")


@pytest.fixture
def record(make_env, tmp_path):
    """Record an episode for each list of replies, and return the file."""

    def record(*episodes, **kwargs):
        path = tmp_path / "episodes.jsonl"
        env = RecordEpisode(make_env(**kwargs), path)
        for replies in episodes:
            env.reset(seed=3)
            for reply in replies:
                env.step(reply)
        return path

    return record


def test_the_best_script_is_the_one_that_scored_best(record):
    path = record([quality(0.5), quality(0.9), quality(0.7)], [quality(0.6), LIST])
    records = episode_of(path)
    best = best_of(records, store_of(path))
    assert best.text == "QUALITY = 0.9\n"
    assert best.record == records[1]
    assert best.score == records[1].next_state.score
    other = episode_of(path, list(read_records(path))[-1].episode[:10])
    assert best_of(other, store_of(path)).text == "QUALITY = 0.6\n"


def test_without_a_score_it_is_the_starter(record):
    path = record([LIST, edit("raise ValueError\n")])
    best = best_of(episode_of(path), store_of(path))
    assert (best.text, best.record) == (STARTER, None)


def test_files_beside_the_script_are_those_it_ran_with(record):
    copy = render("Copy File", {"source": "train.py", "destination": "old.py"})
    path = record([copy, quality(0.9), edit("QUALITY = 0.95\n", save_name="new.py")])
    best = best_of(episode_of(path), store_of(path))
    assert best.script == "new.py"
    assert best.others["train.py"] == b"QUALITY = 0.9\n"
    assert best.others["old.py"].decode() == STARTER


def test_an_episode_is_chosen_by_how_its_name_begins(record):
    path = record([LIST], [LIST])
    with pytest.raises(UsageError, match=r"0 episodes 'nowhere'; known: \w+"):
        episode_of(path, "nowhere")


def test_a_notebook_tells_the_episode(record):
    path = record([LIST, quality(0.5), "nonsense"])
    records = episode_of(path)
    book = notebook(records, best_of(records, store_of(path)))
    nbformat.validate(nbformat.from_dict(book))
    assert json.dumps(book) == json.dumps(notebook(records, best_of(records, store_of(path))))
    prose = [cell.source for cell in book.cells if cell.cell_type == "markdown"]
    assert "Housing" in prose[0] or "ouse" in prose[0]
    assert [text.splitlines()[0] for text in prose[1:4]] == [
        "## Step 1: List Files — non edit",
        "## Step 2: Edit Script — scored",
        "## Step 3: Invalid — invalid",
    ]
    assert "<b>" not in prose[1]
    assert "[x](" not in prose[1]
    assert "```diff\n" in prose[2]
    assert "+QUALITY = 0.5" in prose[2]
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert code[-2].source == "QUALITY = 0.5"
    assert code[-2].outputs[0].text == "validation score: 0.5\n"
    assert book.metadata.mlagent.score == records[1].next_state.score


def test_output_cannot_end_its_block(record):
    path = record([edit("QUALITY = 0.5\n# ````\n# <img src=x>\n")])
    records = episode_of(path)
    text = notebook(records, best_of(records, store_of(path))).cells[1].source
    assert re.search(r"^`````diff$.*^`````$", text, re.DOTALL | re.MULTILINE)


def test_a_notebook_runs_again_and_scores_what_was_recorded(tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel")
    path = tmp_path / "episodes.jsonl"
    env = RecordEpisode(
        gym.make("MLAgent/house-price-v0", data_size=REAL_SIZE, store=tmp_path / "store"), path
    )
    env.reset(seed=3)
    helper = edit("DEPTH = 12\n", "knobs.py", save_name="knobs.py")
    edits = [{"search": "MAX_DEPTH = 5", "replace": "from knobs import DEPTH as MAX_DEPTH"}]
    for reply in (helper, render("Edit Script", {"script_name": "train.py", "edits": edits})):
        _, _, _, _, info = env.step(reply)
    env.close()
    assert info["run_status"] == "ok"
    done = CliRunner().invoke(app, ["export", str(path), "--to", "notebook"])
    assert done.exit_code == 0, done.output
    book = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    assert book.metadata.mlagent.score == info["score"]
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute()
    submission = book.cells[-1].outputs[0].text.splitlines()[-1]
    assert "Validation MAE" in json.dumps(book.cells)
    task = load_task("house-price")
    prepared = data.synthetic(task, size=REAL_SIZE)
    with open(submission, "rb") as file:  # noqa: PTH123 - a path that was printed
        content = file.read()
    now = grading.grade(task, prepared.private / task.submission.answers, content).score
    assert now == pytest.approx(info["score"], rel=1e-9)


@pytest.mark.parametrize(
    "script, cells",
    [
        ("a = 1\n\nb = 2\n", ["a = 1", "b = 2"]),
        (
            "def f():\n    x = 1\n\n    return x\n\n\nf()\n",
            ["def f():\n    x = 1\n\n    return x", "f()"],
        ),
        ('s = """a\n\nb"""\n# why\nt = 1\n', ['s = """a\n\nb"""\n# why\nt = 1']),
        ("@f\n\ndef g(): pass\n", ["@f\n\ndef g(): pass"]),
        ("if a:\n    b\n\nelse:\n    c\n", ["if a:\n    b\n\nelse:\n    c"]),
        ("x = (\n\n1)\r\n\r\ny = '\x0c'", ["x = (\n\n1)", "y = '\x0c'"]),
        ("", []),
        ("def f(:\n\n  x", ["def f(:\n\n  x"]),
    ],
)
def test_a_script_is_cut_between_statements_only(script, cells):
    assert split(script) == cells


def test_the_cells_of_a_starter_are_the_starter():
    def lines(text):
        return [line for line in text.splitlines() if line.strip()]

    cells = split(STARTER)
    assert len(cells) > 5
    assert lines("\n".join(cells)) == lines(STARTER)


def test_chats_are_what_the_policy_read_and_wrote(record):
    path = record([LIST, quality(0.5), "nonsense"], observation="messages")
    records = list(read_records(path))
    found = list(chats(path, store_of(path)))
    assert [chat["messages"][:-1] for chat in found] == [list(one.messages) for one in records]
    assert [chat["messages"][-1]["content"] for chat in found] == [one.reply for one in records]
    assert len(list(chats(path, store_of(path), valid_only=True))) == 2


def test_chats_without_messages_are_rendered_as_they_were(record, tmp_path):
    path = record([LIST, quality(0.5), "nonsense"])
    assert all(one.messages is None for one in read_records(path))
    found = list(chats(path, store_of(path)))
    path.unlink()
    with_messages = record([LIST, quality(0.5), "nonsense"], observation="messages")
    assert found == list(chats(with_messages, store_of(with_messages)))


def test_the_command_writes_scripts_and_chats(record, tmp_path):
    path = record([quality(0.5), quality(0.9)], observation="messages")
    done = CliRunner().invoke(app, ["export", str(path), "--to", "script"])
    assert done.exit_code == 0, done.output
    assert path.with_suffix(".py").read_text() == "QUALITY = 0.9\n"
    target = tmp_path / "chats.jsonl"
    done = CliRunner().invoke(app, ["export", str(path), "--to", "sft", "-o", str(target)])
    assert "(2 examples)" in done.output
    assert len(target.read_text().splitlines()) == 2
    assert CliRunner().invoke(app, ["export", str(path), "--to", "poem"]).exit_code == 2
    assert CliRunner().invoke(app, ["export", "nowhere.jsonl", "--to", "script"]).exit_code == 1
