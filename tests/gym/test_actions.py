"""The parser reads what models write, and never raises."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlagent_gym.actions import (
    ACTIONS,
    MAX_REPLY_CHARS,
    CopyFile,
    EditScript,
    EditScriptAI,
    ExecuteScript,
    FinalAnswer,
    InspectScriptLines,
    InvalidAction,
    ListFiles,
    Replacement,
    UnderstandFile,
    UndoEditScript,
    parse,
    render,
    skeleton,
    usage,
)

pytestmark = pytest.mark.smoke

EXAMPLES = [
    ListFiles("../input"),
    InspectScriptLines("train.py", 3, 9),
    ExecuteScript("train.py"),
    EditScript("train.py", edits=(Replacement("a = 1", "a = 2"),), save_name="new.py"),
    EditScript("train.py", content="print('ü')\n"),
    EditScriptAI("train.py", "double the epochs", "new.py"),
    UnderstandFile("train.py", "the optimizer"),
    UndoEditScript("train.py"),
    CopyFile("a.py", "b.py"),
    FinalAnswer("done"),
]


def as_input(action):
    values = {k: v for k, v in vars(action).items() if v not in (None, ())}
    if "edits" in values:
        values["edits"] = [vars(edit) for edit in values["edits"]]
    return values


@pytest.mark.parametrize("action", EXAMPLES, ids=lambda action: action.name)
def test_every_action_is_read_back_from_its_rendered_form(action):
    reply = render(action.name, as_input(action), reflection="r", thought="t")
    assert parse(reply) == action


@pytest.mark.parametrize("name", ACTIONS)
def test_the_skeleton_of_an_action_is_an_action(name):
    assert isinstance(parse(skeleton(name)), ACTIONS[name])


@pytest.mark.parametrize(
    "reply",
    [
        'Action: Execute Script\nAction Input: ```json\n{"script_name": "train.py"}\n```',
        '**Action:** `Execute Script`\n**Action Input:** {"script_name": "train.py"}',
        'Sure!\n\naction: execute script\naction input: {"script_name": "train.py"} and so on',
        'Action: Execute Script\nAction Input:\n\n{\n "script_name":\n "train.py"}\nObservation: ok'
        '\nAction: Final Answer\nAction Input: {"final_answer": "x"}',
        'Action: Execute_Script.\nAction Input: {"script_name": "train.py"}',
    ],
)
def test_fences_prose_case_and_later_fields_are_tolerated(reply):
    assert parse(reply) == ExecuteScript("train.py")


def test_raw_line_breaks_in_json_strings_are_tolerated():
    reply = 'Action: Edit Script\nAction Input: {"script_name": "a.py", "content": "x = 1\ny = 2"}'
    assert parse(reply) == EditScript("a.py", content="x = 1\ny = 2")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", 'no line that starts with "Action:"'),
        ("Action: Execute Script", 'no line that starts with "Action Input:"'),
        ("Action:\nAction Input: {}", "names no action"),
        ("Action: Edit Skript\nAction Input: {}", "Did you mean 'Edit Script'?"),
        ("Action: Execute Script\nAction Input: train.py", "not a JSON object"),
        ('Action: Execute Script\nAction Input: {"script_name": "tr', "not valid JSON"),
        ('Action: Execute Script\nAction Input: {"file": "a"}', 'takes "script_name", not "file"'),
        ("Action: Execute Script\nAction Input: {}", 'needs "script_name"'),
        ('Action: Execute Script\nAction Input: {"script_name": 3}', '"script_name": input should'),
        ('Action: Edit Script\nAction Input: {"script_name": "a"}', 'either "edits" or "content"'),
        (
            'Action: Edit Script\nAction Input: {"script_name": "a", '
            '"edits": [{"search": "", "replace": "b"}]}',
            "is empty",
        ),
        ('Action: Execute Script\nAction Input: {"script_name": "\\ud800"}', "surrogate"),
        ("x" * (MAX_REPLY_CHARS + 1), "longer than"),
        ("Action: List Files\nAction Input: " + '{"dir_path": ' + "[" * 100_000, "not valid JSON"),
        ("Action: List Files\nAction Input: " + '{"dir_path": ' + "9" * 10_000 + "}", "not valid"),
    ],
)
def test_feedback_says_what_is_wrong_and_shows_the_form(reply, reason):
    action = parse(reply)
    assert isinstance(action, InvalidAction)
    assert reason in action.feedback
    assert "Action Input:" in action.feedback


fields = st.sampled_from(
    [
        "Action:",
        "Action Input:",
        *ACTIONS,
        "{",
        "}",
        '"',
        "\\",
        "\n",
        "```",
        "Thought:",
        "\x00",
        "é",
    ]
)


@given(st.one_of(st.text(), st.lists(fields).map(" ".join), st.lists(fields).map("\n".join)))
@example('Action: Final Answer\nAction Input: {"final_answer": 1e999}')
def test_the_parser_never_raises(text):
    assert parse(text).name


@given(
    st.dictionaries(
        st.sampled_from(["script_name", "edits", "content", "x"]),
        st.none() | st.text() | st.integers() | st.lists(st.dictionaries(st.text(), st.text())),
        max_size=4,
    )
)
def test_any_json_object_as_input_is_an_action_or_a_reason(value):
    parse("Action: Edit Script\nAction Input: " + json.dumps(value))


@pytest.mark.parametrize("piece", ["Action: \n", "Action Input: {\n", " " * 9 + "\n", "{", "* > #"])
def test_the_parser_takes_linear_time(piece):
    def seconds(size):
        text = piece * (size // len(piece))
        started = time.process_time()
        parse(text)
        return time.process_time() - started

    assert min(seconds(800_000) for _ in range(3)) < 0.5


def test_actions_of_the_editor_exist_only_with_an_editor():
    reply = render("Edit Script (AI)", {"script_name": "train.py", "edit_instruction": "better"})
    assert parse(reply, editor=True) == EditScriptAI("train.py", "better")
    action = parse(reply, editor=False)
    assert "Did you mean 'Edit Script'?" in action.feedback
    for text in (action.feedback, usage(editor=False), skeleton(editor=False)):
        assert "Understand File" not in text
        assert ", Edit Script (AI)" not in text
    assert "Understand File" in usage(editor=True)


def test_render_refuses_unknown_prose():
    with pytest.raises(TypeError, match="musings"):
        render("Final Answer", {}, musings="hm")
