"""A person plays an episode by typing, and what was typed becomes an agent's reply."""

import json

import pytest
from typer.testing import CliRunner

from mlagent_gym.actions import InvalidAction, parse
from mlagent_gym.cli import app
from mlagent_gym.cli.play import to_reply
from mlagent_gym.errors import UsageError
from mlagent_gym.records import read_records


def reply(line, edited="new", lines=()):
    return parse(
        to_reply(line, lambda path: f"text of {path}", lambda text: edited, iter(lines).__next__)
    )


@pytest.mark.parametrize(
    ("line", "name", "field", "value"),
    [
        ("ls", "List Files", "dir_path", "."),
        ("ls ../input", "List Files", "dir_path", "../input"),
        ("show a.py 3 9", "Inspect Script Lines", "end_line_number", 9),
        ("run", "Execute Script", "script_name", "train.py"),
        ("run 'my script.py'", "Execute Script", "script_name", "my script.py"),
        ("undo", "Undo Edit Script", "script_name", "train.py"),
        ("cp a b", "Copy File", "destination", "b"),
        ("ai train.py use more trees", "Edit Script (AI)", "edit_instruction", "use more trees"),
        ("ask train.py the seed", "Understand File", "things_to_look_for", "the seed"),
        ("done it is good", "Final Answer", "final_answer", "it is good"),
        ("edit", "Edit Script", "content", "new"),
    ],
)
def test_a_command_is_an_action(line, name, field, value):
    action = reply(line)
    assert action.name == name
    assert getattr(action, field) == value


def test_a_raw_reply_is_taken_as_it_is():
    action = reply("raw", lines=["Action: List Files", 'Action Input: {"dir_path": "."}', "."])
    assert action.name == "List Files"
    assert isinstance(reply("raw", lines=["x", "."]), InvalidAction)


@pytest.mark.parametrize("line", ["", "help", "run a b", "show a x", "ai train.py", "'", "rm x"])
def test_anything_else_shows_the_help(line):
    with pytest.raises(UsageError, match="undo"):
        reply(line)


def test_an_edit_without_a_change_is_no_step():
    with pytest.raises(UsageError, match="Nothing"):
        reply("edit", edited=None)


def test_an_episode_is_played_saved_and_gone_on_with(tmp_path):
    record, state = tmp_path / "play.jsonl", tmp_path / "state.json"
    command = ["play", "house-price", "--record", str(record)]
    typed = f"help\nls\nsave {state}\nquit\n"
    result = CliRunner().invoke(app, command, input=typed)
    assert result.exit_code == 0, result.output
    assert "train.py" in result.output
    assert json.loads(state.read_text())["step"] == 1
    result = CliRunner().invoke(app, [*command, "--resume"], input="done\n")
    assert result.exit_code == 0, result.output
    assert "The episode has ended" in result.output
    assert [one.action["name"] for one in read_records(record)] == ["List Files", "Final Answer"]
    result = CliRunner().invoke(app, ["play", "house-price", "--state", str(state)], input="ls\n")
    assert "step 2: List Files" in result.output
    result = CliRunner().invoke(app, ["play", "house-price", "--resume"])
    assert result.exit_code == 2
