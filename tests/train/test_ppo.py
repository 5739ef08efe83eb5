"""mlagent_train.ppo without OpenRLHF: what is kept of a run, and how it stops."""

import io
import json

import pytest
from rich.console import Console

from mlagent_train import ppo as module
from mlagent_train.config import load_config
from mlagent_train.errors import CollapseError, DataError
from mlagent_train.files import read_json, write_jsonl
from mlagent_train.ppo_rows import evaluation_rows
from mlagent_train.run import open_run

QUIET = Console(quiet=True)
SETTINGS = ("collapse.updates=2", "collapse.min_valid=0.1", "evaluate.every_updates=1")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose updates are about to be made; none of it needs OpenRLHF."""
    monkeypatch.setattr(module, "_write_prompts", lambda run, console: None)
    monkeypatch.setattr(module, "ppo_argv", lambda run: [])
    return open_run(load_config("cpu-tiny", SETTINGS), tmp_path)


def export(run, name):
    folder = run.folder / "ppo" / "checkpoints" / name
    folder.mkdir(parents=True)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / file).write_text("{}")
    (folder / "name").write_text(name)


def evaluated(run, gains):
    """Leave the evaluations of some updates, one episode each, on a held-in task."""
    rows = [
        {
            "purpose": "evaluate",
            "update": update,
            "process": "a",
            "row": 0,
            "task": "house-price",
            "turn": 0,
            "terminated": True,
            "truncated": False,
            "split": "held-in",
            "reward": 0.5,
            "info": {"valid": True, "gain": gain, "relative_gain": gain, "outcome": "scored"},
        }
        for update, gain in gains.items()
    ]
    write_jsonl(run.folder / "ppo" / "rollouts.jsonl", rows)
    label = {"tags": {"row": 0}, "evaluate": {"max_steps": 3}}
    write_jsonl(run.folder / "ppo" / "evaluation.jsonl", [{"label": json.dumps(label)}])


def job(run, monkeypatch, valid, then=lambda: None):
    """Let OpenRLHF be a function that logs shares of valid actions and then does something."""
    from torch.utils.tensorboard import SummaryWriter

    def run_job(job, folder, name, watch):
        with SummaryWriter(str(run.tensorboard / "ppo")) as writer:
            for update, share in enumerate(valid, 1):
                writer.add_scalar("train/valid", share, update)
                writer.add_scalar("train/rollout/reward_mean", share, update)
        then()
        watch()

    monkeypatch.setattr(module, "run_job", run_job)


def test_a_collapse_stops_the_run_with_its_best_checkpoint(run, monkeypatch):
    def checkpoints():
        for name in ("best_global_step1_hf", "best_global_step2_hf", "global_step4_hf"):
            export(run, name)

    evaluated(run, {1: 0.3, 2: 0.1})
    job(run, monkeypatch, [0.5, 0.4, 0.0, 0.0], checkpoints)
    with pytest.raises(CollapseError, match=r"after update 4: .*min_valid = 0.1") as error:
        module.ppo(run, QUIET)
    assert (run.best_model / "name").read_text() == "best_global_step1_hf"
    assert read_json(run.folder / "ppo" / "best.json")["update"] == 1
    assert str(run.best_model) in str(error.value)
    assert len((run.folder / "metrics.jsonl").read_text().splitlines()) == 4
    assert not run.final_model.exists()
    monkeypatch.setattr(module, "run_job", None)  # a second time it only says so again
    with pytest.raises(CollapseError, match="after update 4"):
        module.ppo(run, QUIET)


def test_without_evaluations_a_collapsed_run_keeps_its_oldest_checkpoint(run, monkeypatch):
    def checkpoints():
        for name in ("global_step2_hf", "global_step3_hf", "global_step4_hf"):
            export(run, name)

    job(run, monkeypatch, [0.5, 0.4, 0.0, 0.0], checkpoints)
    with pytest.raises(CollapseError):
        module.ppo(run, QUIET)
    assert (run.best_model / "name").read_text() == "global_step2_hf"


def test_a_finished_run_has_its_last_and_its_best_policy(run, monkeypatch):
    def finish():
        export(run, "best_global_step2_hf")
        export(run, "best_global_step3_hf")
        (run.folder / "ppo" / "model.partial").mkdir()

    evaluated(run, {2: 0.1, 3: 0.2})
    job(run, monkeypatch, [0.5, 0.4, 0.5], finish)
    module.ppo(run, QUIET)
    assert run.final_model.is_dir()
    assert (run.best_model / "name").read_text() == "best_global_step3_hf"
    assert not (run.folder / "ppo" / "checkpoints").exists()
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert rows[2]["evaluation"]["splits"]["held-in"]["relative_gain"] == 0.2

    (run.folder / "metrics.jsonl").unlink()  # killed in between: the second best is not taken
    export(run, "best_global_step2_hf")
    module.ppo(run, QUIET)
    assert (run.best_model / "name").read_text() == "best_global_step3_hf"


def test_bests_whose_evaluations_are_not_on_record_are_not_lost(run, monkeypatch):
    def finish():
        for name in ("best_global_step2_hf", "best_global_step4_hf", "global_step5_hf"):
            export(run, name)
        (run.folder / "ppo" / "model.partial").mkdir()

    evaluated(run, {3: 0.1, 5: 0.2})
    job(run, monkeypatch, [0.5] * 5, finish)
    console = Console(record=True, width=200, file=io.StringIO())
    module.ppo(run, console)
    assert (run.best_model / "name").read_text() == "best_global_step4_hf"
    kept = read_json(run.folder / "ppo" / "best.json")
    assert kept == {"update": 4, "held_in_relative_gain": None}
    assert "the newest that OpenRLHF called best is kept" in console.export_text()


def test_evaluating_between_updates_needs_the_evaluation_before(run, tiny_model, monkeypatch):
    monkeypatch.setattr(type(run), "start_model", str(tiny_model))
    with pytest.raises(DataError, match="evaluation made before training"):
        evaluation_rows(run)


def test_evaluation_rows_are_the_starts_of_the_evaluation_before(run, tiny_model, monkeypatch):
    monkeypatch.setattr(type(run), "start_model", str(tiny_model))
    for task in ("house-price", "leaf-classification"):
        state = {"task": task, "seed": 3, "step": 0}
        step = {"env": {"id": f"Record/{task}"}, "state": state}
        message = {"role": "user", "content": f"Task: {task}"}
        path = run.folder / "evaluate" / "before" / f"{task}.jsonl"
        write_jsonl(path, [{**step, "messages": [message]}, {**step, "messages": []}])
    inside, outside = evaluation_rows(run)
    assert (inside["datasource"], outside["datasource"]) == ("held-in", "held-out")
    assert "Task: house-price" in inside["input"]
    label = json.loads(inside["label"])
    assert label["evaluate"] == {"max_steps": 3, "max_prompt_tokens": 512}
    assert label["tags"] == {
        "purpose": "evaluate",
        "task": "house-price",
        "split": "held-in",
        "row": 0,
    }
    assert label["state"] == {"task": "house-price", "seed": 3, "step": 0}
    assert (label["env_id"], label["seed"]) == ("MLAgent/house-price-v0", 3)
