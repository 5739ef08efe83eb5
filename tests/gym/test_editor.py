"""The editor's actions: offered where there is an editor, and never the agent's fault."""

import pickle

import pytest

from mlagent_gym.actions import render
from mlagent_gym.editor import Editor, make_editor
from mlagent_gym.endpoint import EndpointConfig
from mlagent_gym.errors import ConfigError, EndpointError
from mlagent_gym.recording import RecordEpisode, last_record

EDIT = render("Edit Script (AI)", {"script_name": "train.py", "edit_instruction": "be better"})
ASK = render("Understand File", {"file_name": "train.py", "things_to_look_for": "the seed"})
FENCED = "Here it is:\n```python\nQUALITY = 0.9\n```\nHave fun!"


@pytest.fixture
def editor(endpoint, tmp_path):
    """Make editors whose endpoint gives some answers, remembering none of other tests."""

    def make(*answers, **more):
        server = endpoint(*answers)
        config = EndpointConfig(server.base_url, "small", retries=0, timeout_s=5, **more)
        return server, Editor(config, tmp_path / "completions")

    return make


def test_an_edit_in_words_is_carried_out_and_graded(make_env, editor):
    server, model = editor(FENCED, prompt_price=1.0, completion_price=10.0)
    env = make_env(editor=model)
    observation, _ = env.reset(seed=0)
    assert "Edit Script (AI)" in observation
    _, reward, _, _, info = env.step(EDIT)
    assert info["outcome"] == "scored"
    assert reward > 0.9
    assert "+QUALITY = 0.9" in info["feedback"]
    assert info["resources"].editor_tokens == 120
    assert info["resources"].editor_cost == pytest.approx(0.0003)
    assert "be better" in server.questions[0]["messages"][0]["content"]
    env.reset(seed=0)
    again = env.step(EDIT)[4]
    assert again["score"] == info["score"]
    assert again["resources"].editor_tokens == 0
    assert len(server.questions) == 1
    undo = render("Undo Edit Script", {"script_name": "train.py"})
    assert env.step(undo)[4]["score"] == info["initial_score"]


def test_a_file_is_explained(make_env, editor):
    server, model = editor("It is 0.")
    env = make_env(editor=model)
    env.reset(seed=0)
    _, reward, _, _, info = env.step(ASK)
    assert (info["outcome"], info["feedback"], reward) == ("non_edit", "It is 0.", 0.5)
    gone = render("Understand File", {"file_name": "gone.py", "things_to_look_for": "x"})
    assert env.step(gone)[4]["outcome"] == "invalid"
    assert len(server.questions) == 1


@pytest.mark.parametrize("answer", [500, "", "```python\n```", {"x": 1}, None])
def test_an_outage_is_a_corner_case_and_changes_nothing(make_env, editor, answer):
    for version, neutral in (("v1", 0.5), ("v2", 0.0)):
        env = make_env(editor=editor(answer)[1], reward=version)
        env.reset(seed=0)
        files = env.unwrapped.state().files
        _, reward, terminated, _, info = env.step(EDIT)
        assert (info["outcome"], reward, terminated) == ("corner_case", neutral, False)
        assert "nothing was changed" in info["feedback"]
        assert env.unwrapped.state().files == files


def test_without_an_editor_its_actions_are_not_offered(make_env, monkeypatch):
    monkeypatch.delenv("MLAGENT_EDITOR_BASE_URL", raising=False)
    for editor in (None, "auto"):
        env = make_env(editor=editor)
        observation, _ = env.reset(seed=0)
        assert "(AI)" not in observation
        assert "Understand" not in observation
        info = env.step(EDIT)[4]
        assert info["outcome"] == "invalid"
        assert "Did you mean 'Edit Script'?" in info["feedback"]


def test_variables_offer_them(make_env, endpoint, monkeypatch):
    monkeypatch.setenv("MLAGENT_EDITOR_BASE_URL", endpoint(FENCED).base_url)
    monkeypatch.setenv("MLAGENT_EDITOR_MODEL", "small")
    env = make_env()
    assert "(AI)" in env.reset(seed=0)[0]
    assert env.step(EDIT)[4]["outcome"] == "scored"


def test_an_editor_is_recorded_without_its_key(make_env, editor, monkeypatch, tmp_path):
    monkeypatch.setenv("MLAGENT_EDITOR_KEY", "sk-secret")
    _, model = editor(FENCED)
    monkeypatch.setenv("MLAGENT_EDITOR_BASE_URL", model.config.base_url)
    monkeypatch.setenv("MLAGENT_EDITOR_MODEL", "small")
    monkeypatch.setenv("MLAGENT_EDITOR_RETRIES", "0")
    monkeypatch.setenv("MLAGENT_EDITOR_TIMEOUT_S", "5")
    for given in (model, model.config, "auto"):
        env = RecordEpisode(make_env(editor=given), tmp_path / "r.jsonl")
        env.reset(seed=0)
        env.step(EDIT)
        recorded = last_record(tmp_path / "r.jsonl").env["kwargs"]["editor"]
        assert make_editor(recorded, tmp_path).config == model.config
    env = RecordEpisode(make_env(editor=None), tmp_path / "r.jsonl")
    env.reset(seed=0)
    env.step(EDIT)
    assert last_record(tmp_path / "r.jsonl").env["kwargs"]["editor"] is None
    assert last_record(tmp_path / "r.jsonl").action["name"] == "Invalid"
    assert "sk-secret" not in (tmp_path / "r.jsonl").read_text()


def test_a_long_file_is_shown_in_part(editor):
    server, model = editor("Long.")
    assert "Only the first 100000 of 200000" in model.understand("f", "x" * 200_000, "?").text
    assert len(server.questions[0]["messages"][0]["content"]) < 101_000


def test_prose_without_a_fence_is_taken_as_the_file(editor):
    assert editor("x = '$name'")[1].edit("f.py", "$content ``` $", "$5").text == "x = '$name'\n"
    with pytest.raises(EndpointError, match="no file"):
        editor("```\n```")[1].edit("f.py", "", "x")


def test_what_is_no_editor_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no editor"):
        make_editor("gpt", tmp_path)
    with pytest.raises(ConfigError, match="model"):
        make_editor({"base_url": "x"}, tmp_path)
    editor = make_editor({"base_url": "x", "model": "m"}, tmp_path)
    assert pickle.loads(pickle.dumps(editor)) == editor
