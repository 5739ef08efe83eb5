"""mlagent_train.summary and charts on run folders as the stages leave them."""

import json
import re
from html.parser import HTMLParser

import pytest
from typer.testing import CliRunner

from mlagent_train.charts import line_chart
from mlagent_train.cli import command
from mlagent_train.config import config_to_dict, load_config
from mlagent_train.errors import UsageError
from mlagent_train.files import write_json, write_jsonl
from mlagent_train.step_figures import step_figures
from mlagent_train.summary import _main, write_summary


def steps(reward, run="ok"):
    info = {"valid": True, "outcome": "scored", "gain": 0.1, "run_status": run}
    row = {"reward": reward, "info": info, "env_s": 1.5, "queue_s": 0.5, "cached": False}
    return step_figures([row, {**row, "reward": None, "info": None}])


def update(number):
    figures = steps(number / 10)
    return {
        "update": number,
        "kl": 0.01,
        "entropy_loss": 1.0,
        "critic_loss": 0.2,
        "critic/explained_variance": 0.5,
        "rollout/response_length_mean": 40.0,
        "timing/generation": 3.0,
        "steps": figures,
        "tasks": {"house-price": figures, "<cifar10>": figures},
        "actions": {"Edit Script": figures},
    }


@pytest.fixture
def run(tmp_path):
    """A run folder that is only opened."""
    write_json(
        tmp_path / "config.json", config_to_dict(load_config("cpu-tiny", ["ppo.updates=16"]))
    )
    versions = {"device": "cpu", "cpus": 2, "gpus": 0, "git": "abc123", "packages": {}}
    write_json(tmp_path / "versions.json", versions)
    return tmp_path


def page(run):
    text = write_summary(run).read_text()
    HTMLParser().feed(text)
    return text


def test_a_run_that_has_only_begun_has_a_page(run):
    text = page(run)
    assert "<h1>Run cpu-tiny</h1>" in text
    assert "revision abc123" in text
    assert "<svg" not in text


def test_a_trained_run_has_every_chart_and_table(run):
    write_jsonl(run / "metrics.jsonl", [update(n) for n in range(1, 9)])
    stats = {"episodes": 2, "reward": 0.5, "valid": 0.5, "improved": 0.25, "relative_gain": 0.125}
    result = {"splits": {"held-in": stats}, "tasks": {"house-price": stats}}
    write_json(run / "evaluate" / "before.json", result)
    write_json(run / "evaluate" / "before.plan.json", {"episodes": []})
    gpu = [{"time": t, "gpu": 0, "busy_percent": 50 * t} for t in (0, 1)]
    write_jsonl(run / "gpu.jsonl", gpu)
    text = page(run)
    titles = re.findall(r'aria-label="([^"]+)"', text)
    for title in (
        "Reward",
        "Valid and improving actions, share of steps",
        "Run success, share of started scripts",
        "Gain of scored edits by task",
        "KL to the reference policy, per token",
        "Entropy, nats per token",
        "Tokens of a reply",
        "Environment, seconds per step",
        "Critic: explained variance of returns",
        "GPU busy, percent, over minutes; idle 50% of samples",
    ):
        assert title in titles, title
    assert "8 of 16 updates, 8 steps lost" in text
    assert "12.5 %" in text
    assert "&lt;cifar10&gt;" in text
    assert "<cifar10>" not in text


def test_a_page_needs_no_network_and_no_other_file(run):
    write_jsonl(run / "metrics.jsonl", [update(1)])
    text = page(run)
    assert not re.search(r'(src|href)="(?!#|data:)', text)
    assert "default-src 'none'" in text
    assert "<script" not in text


def test_evaluations_between_updates_are_a_curve(run):
    stats = {"relative_gain": 0.1, "episodes": 1, "reward": 0, "valid": 1, "improved": 0}
    write_json(run / "evaluate" / "before.json", {"splits": {"held-in": stats}, "tasks": {}})
    info = {"valid": True, "gain": 0.0, "relative_gain": 0.2, "outcome": "scored"}
    row = {"purpose": "evaluate", "update": 2, "process": "a", "row": 0, "task": "a"}
    row |= {"split": "held-in", "reward": 0.5, "info": info, "turn": 0}
    row |= {"terminated": True, "truncated": False}
    label = {"tags": {"row": 0}, "evaluate": {"max_steps": 3}}
    write_jsonl(run / "ppo" / "rollouts.jsonl", [row])
    write_jsonl(run / "ppo" / "evaluation.jsonl", [{"label": json.dumps(label)}])
    assert "Relative gain of whole episodes, by split" in page(run)


def test_a_collapse_is_said_at_the_top(run):
    write_json(run / "ppo" / "stopped.json", {"message": "Training was stopped after update 9"})
    assert 'id="stopped">Training was stopped after update 9' in page(run)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="Name a run folder"):
        write_summary(tmp_path)


def test_the_command_works_on_any_run_folder(run):
    done = CliRunner().invoke(command(_main), [str(run)])
    assert done.exit_code == 0
    assert (run / "summary.html").exists()
    assert CliRunner().invoke(command(_main), [str(run / "nowhere")]).exit_code == 2


def test_a_chart_is_the_same_text_for_the_same_lines():
    lines = {"a": [(1.0, 2.0), (2.0, 1.0)], "b": [(1.0, 1.0)]}
    assert line_chart("Two lines", lines) == line_chart("Two lines", lines)
    assert line_chart("Two lines", lines).startswith("<svg")
