"""python -m mlagent_train.ideas, and how its files reach an expert."""

import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from mlagent_gym import Idea, load_ideas, load_task
from mlagent_train import ideas as ideas_command
from mlagent_train.cli import command
from mlagent_train.config import load_config
from mlagent_train.errors import ConfigError, EndpointError
from mlagent_train.idea_files import IdeaSource, read_ideas, with_hints, write_ideas
from mlagent_train.ideas import make_ideas
from mlagent_train.run import open_run

TASK, OTHER = "house-price", "spaceship-titanic"


@pytest.fixture
def make(tmp_path):
    """Make ideas with some settings; return the run and what was printed."""

    def make(*overrides, folder="run"):
        tasks = f'tasks.held_in=["{TASK}", "{OTHER}"]'
        run = open_run(load_config("cpu-tiny", [tasks, *overrides]), tmp_path / folder)
        console = Console(record=True, width=200)
        make_ideas(run, console)
        return run, console.export_text()

    return make


@pytest.mark.parametrize("method", ["mean-distance", "farthest-point"])
def test_ten_of_a_hundred_candidates_are_kept_and_the_seed_decides(method, make):
    run, said = make(f"ideas.method={method}", "ideas.embedder=tf-idf")
    assert f"10 of 100 candidates kept for each of 2 tasks ({method}, tf-idf)" in said
    for task in (TASK, OTHER):
        kept = read_ideas(run.ideas / f"{task}.json")
        assert len({idea.name for idea in kept}) == 10
        about = json.loads((run.ideas / f"{task}.json").read_text())
        assert (about["candidates"], about["method"]) == (100, method)
        lines = (run.ideas / "candidates" / f"{task}.jsonl").read_text().splitlines()
        assert {idea.name for idea in kept} <= {json.loads(line)["name"] for line in lines}
    again, _ = make(f"ideas.method={method}", "ideas.embedder=tf-idf", folder="again")
    assert [(path.name, path.read_text()) for path in sorted(again.ideas.glob("*.json"))] == [
        (path.name, path.read_text()) for path in sorted(run.ideas.glob("*.json"))
    ]


def test_tasks_that_are_done_are_not_done_again(make):
    run, _ = make()
    first = run.ideas / f"{TASK}.json"
    first.write_text("kept")
    (run.ideas / f"{OTHER}.json").unlink()
    _, said = make()
    assert "1 tasks" in said
    assert first.read_text() == "kept"
    assert "already there" in make()[1]


def test_a_model_proposes_and_a_killed_stage_asks_nothing_twice(make, endpoint, monkeypatch):
    monkeypatch.setenv("MLAGENT_PRICES", "0,100")
    first, second = (
        json.dumps([f"{word} {n} of the {word}." for n in range(25) for word in words])
        for words in (("Clip", "Scale"), ("Drop", "Join"))
    )
    model = ("ideas.source=openai:some-model", "ideas.candidates=20", "ideas.keep=4")
    server = endpoint(first, 400)
    with pytest.raises(EndpointError, match="some-model"):
        make(*model)
    asked = len(server.questions)
    server = endpoint(second)
    run, said = make(*model)
    assert len(server.questions) == 1  # for the second task only
    assert asked == 2
    assert "0.002 $" in said  # 20 tokens of a hundred dollars a million
    kept = read_ideas(run.ideas / f"{TASK}.json")
    assert len(kept) == 4
    assert all(idea.edits == () for idea in kept)
    source = IdeaSource(folder=str(run.ideas))
    drawn = source.draw(TASK, (2, 3), seed=1)
    assert len(drawn) in (2, 3)
    assert set(drawn) <= {idea.idea for idea in kept}
    with pytest.raises(ConfigError, match="words without edits"):
        source.edits_of(TASK)


def test_a_source_that_is_none_is_refused(make):
    with pytest.raises(ConfigError, match=r"bank, or openai:<model>"):
        make("ideas.source=gpt")


def test_ideas_come_from_the_files_or_else_the_bank(tmp_path):
    bank = load_ideas(load_task(TASK))
    source = IdeaSource(folder=str(tmp_path))
    assert source.of(TASK) == bank
    write_ideas(tmp_path / f"{TASK}.json", bank[2:4], {})
    assert source.of(TASK) == bank[2:4]
    assert source.edits_of(OTHER) == load_ideas(load_task(OTHER))


def test_one_fixed_idea_for_each_task(tmp_path):
    source = IdeaSource(per_task=1)
    only = load_ideas(load_task(TASK))[0]
    assert source.edits_of(TASK) == (only,)
    assert {source.draw(TASK, (1, 3), seed) for seed in range(5)} == {(only.idea,)}


def test_hints_stand_below_the_last_message():
    messages = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    hinted = with_hints(messages, ["first", "second"])
    assert hinted[0] == messages[0]
    assert hinted[1]["content"].startswith("b\n\n")
    assert hinted[1]["content"].endswith("1. first\n2. second")
    assert messages[1]["content"] == "b"


def test_an_idea_survives_its_file(tmp_path):
    ideas = (*load_ideas(load_task(TASK))[:2], Idea("word", "Only words.", ()))
    write_ideas(tmp_path / "x.json", ideas, {"source": "bank"})
    assert read_ideas(tmp_path / "x.json") == ideas


def test_the_command_shows_what_it_kept(tmp_path):
    app = command(ideas_command._main)
    arguments = ["--config", "cpu-tiny", "--run", str(tmp_path / "run"), "--task", TASK, "--show"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    kept = read_ideas(tmp_path / "run" / "ideas" / f"{TASK}.json")
    assert all(idea.name in done.output for idea in kept)
    wrong = CliRunner().invoke(app, [*arguments, "--set", "ideas.source=x"])
    assert wrong.exit_code == 2
