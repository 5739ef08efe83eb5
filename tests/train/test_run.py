"""mlagent_train.run and the files every stage writes."""

import json

import pytest

from mlagent_train.config import load_config
from mlagent_train.errors import ConfigError, DiskFullError
from mlagent_train.files import read_jsonl, write_json, write_jsonl
from mlagent_train.run import open_run


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


def test_a_line_cut_by_a_kill_is_passed_over(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [{"a": 1}, {"a": 2}])
    path.write_text(path.read_text() + '{"a": ')
    assert list(read_jsonl(path)) == [{"a": 1}, {"a": 2}]


def test_writing_leaves_nothing_else_behind(tmp_path):
    write_json(tmp_path / "deep" / "value.json", {"b": 1})
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["value.json"]
