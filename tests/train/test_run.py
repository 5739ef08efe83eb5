"""mlagent_train.run and the files every stage writes."""

import json

import pytest

from mlagent_gym import load_task
from mlagent_train.config import load_config, preset_names
from mlagent_train.errors import ConfigError, DiskFullError
from mlagent_train.files import read_jsonl, write_json, write_jsonl
from mlagent_train.run import Run, open_run


def test_a_run_is_opened_again_with_its_own_configuration_only(tmp_path):
    config = load_config("cpu-tiny")
    open_run(config, tmp_path)
    assert open_run(config, tmp_path).config == config
    with pytest.raises(ConfigError, match=r"another configuration \(ppo.updates, seed\)"):
        open_run(load_config("cpu-tiny", ["ppo.updates=3", "seed=9"]), tmp_path)


def test_a_run_says_what_it_was_made_with(tmp_path):
    open_run(load_config("cpu-tiny"), tmp_path)
    versions = json.loads((tmp_path / "versions.json").read_text())
    assert versions["packages"]["openrlhf"] == "0.11.2"
    assert versions["device"] == "cpu"


def test_too_little_disk_is_said_before_anything_starts(tmp_path):
    config = load_config("cpu-tiny", ["hardware.min_free_disk_gb=1000000"])
    with pytest.raises(DiskFullError, match="min_free_disk_gb"):
        open_run(config, tmp_path)


def test_tasks_are_those_named_or_all_of_their_split(tmp_path):
    named = open_run(load_config("cpu-tiny", ['tasks.held_in=["house-price"]']), tmp_path / "a")
    assert named.held_in == ("house-price",)
    every = open_run(load_config("cpu-tiny", ["tasks.held_in=[]"]), tmp_path / "b")
    assert {"house-price", "cifar10"} <= set(every.held_in)
    assert not set(every.held_in) & set(every.held_out)


@pytest.mark.parametrize("name", preset_names())
def test_no_worker_is_given_up_before_its_scripts_have_to_end(name, tmp_path):
    run = Run(load_config(name), tmp_path)
    limits = [load_task(task).limits.wall_s for task in (*run.held_in, *run.held_out)]
    assert run.step_timeout_s > min(max(limits), run.config.env.kwargs.get("max_seconds", 1800.0))


def test_a_worker_has_time_for_every_script_of_a_step(tmp_path):
    def run(*overrides):
        tasks = ['tasks.held_in=["house-price"]', 'tasks.held_out=["mine"]']
        return Run(load_config("cpu-tiny", [*tasks, *overrides]), tmp_path)

    alone = run("env.kwargs={}")
    assert alone.longest_s == 1800.0  # nothing is known of the task `mine`
    assert run("env.kwargs={max_seconds=60}").longest_s == 60
    assert run("env.kwargs={max_seconds=60, score_seeds=3}").longest_s == 180
    assert alone.step_timeout_s > alone.longest_s
    assert run("workers.step_timeout_s=7").step_timeout_s == 7


def test_a_line_cut_by_a_kill_is_passed_over(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [{"a": 1}, {"a": 2}])
    path.write_text(path.read_text() + '{"a": ')
    assert list(read_jsonl(path)) == [{"a": 1}, {"a": 2}]


def test_writing_leaves_nothing_else_behind(tmp_path):
    write_json(tmp_path / "deep" / "value.json", {"b": 1})
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["value.json"]
