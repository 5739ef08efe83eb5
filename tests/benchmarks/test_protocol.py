"""What is run can be written down, and results that do not compare are told apart."""

import dataclasses
import json

import pytest

from benchmarks.protocol import (
    Protocol,
    choose_tasks,
    differences,
    remarks,
    surroundings,
    trained_with,
)
from benchmarks.results import open_results
from mlagent_gym import ConfigError, UnknownTaskError, load_task, task_ids

PROTOCOL = Protocol("scripted:no-op", ("house-price",))


def test_a_protocol_survives_saving(tmp_path):
    PROTOCOL.save(tmp_path / "p.json")
    assert Protocol.load(tmp_path / "p.json") == PROTOCOL


def test_tasks_are_chosen_by_id_and_by_split():
    assert choose_tasks(["all"]) == task_ids()
    held_in = choose_tasks(["held-in"])
    assert all(load_task(task).split == "held-in" for task in held_in)
    assert sorted((*held_in, *choose_tasks(["held-out"]))) == sorted(task_ids())
    assert choose_tasks(["house-price", "held-in"]).count("house-price") == 1
    with pytest.raises(UnknownTaskError):
        choose_tasks(["house-prices"])
    with pytest.raises(ConfigError):
        choose_tasks([])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("variant", "real"),
        ("max_steps", 3),
        ("data_seed", 1),
        ("max_seconds", 9.0),
        ("seed", 100),
        ("editor", "a-model"),
    ],
)
def test_results_of_different_protocols_do_not_compare(name, value):
    other = dataclasses.replace(PROTOCOL, **{name: value})
    assert len(differences(PROTOCOL, other)) == 1
    assert name in differences(PROTOCOL, other)[0]


def test_how_a_policy_is_asked_is_its_own_but_said():
    other = dataclasses.replace(PROTOCOL, prompt="tiny", scaffold="tree")
    assert not differences(PROTOCOL, other)
    assert len(remarks(PROTOCOL, other)) == 2


def test_two_policies_compare():
    assert not differences(PROTOCOL, dataclasses.replace(PROTOCOL, policy="scripted:greedy"))


def test_a_folder_keeps_to_its_protocol(tmp_path):
    open_results(tmp_path / "r", PROTOCOL)
    assert open_results(tmp_path / "r").protocol == PROTOCOL
    with pytest.raises(ConfigError, match="max_steps: 15 -> 3"):
        open_results(tmp_path / "r", dataclasses.replace(PROTOCOL, max_steps=3))
    with pytest.raises(ConfigError, match="holds no benchmark"):
        open_results(tmp_path / "nothing")


def test_a_run_is_told_from_what_it_becomes(tmp_path):
    run = tmp_path / "run"
    config = {"prompt": "tiny", "temperature": 1.0, "max_new_tokens": 9, "max_prompt_tokens": 9}
    sections = {"env": config, "evaluate": config, "rollout": config}
    (run / "sft" / "model").mkdir(parents=True)
    (run / "config.json").write_text(json.dumps(sections))
    policy = f"run:{run}"
    begun = Protocol(policy, ("house-price",), **trained_with(policy))
    open_results(tmp_path / "r", begun)
    (run / "checkpoint").mkdir()
    with pytest.raises(ConfigError, match="model: 'sft/model' -> 'checkpoint'"):
        open_results(tmp_path / "r", Protocol(policy, ("house-price",), **trained_with(policy)))


def test_going_on_elsewhere_is_written_down(tmp_path):
    first = open_results(tmp_path / "r", PROTOCOL, "typed")
    assert "later" not in open_results(tmp_path / "r", PROTOCOL).surroundings()
    path = tmp_path / "r" / "surroundings.json"
    path.write_text(json.dumps(first.surroundings() | {"revision": "another"}))
    for _ in range(2):
        (later,) = open_results(tmp_path / "r", PROTOCOL).surroundings()["later"]
    assert later == surroundings()
    assert first.surroundings()["revision"] == "another"


def test_a_folder_is_run_by_one_process_at_a_time(tmp_path):
    results = open_results(tmp_path / "r", PROTOCOL)
    again = open_results(tmp_path / "r")
    with results.alone(), pytest.raises(ConfigError, match="Another process"), again.alone():
        pass
    with again.alone():
        pass


def test_the_surroundings_name_versions_and_no_paths():
    found = surroundings()
    assert {"python", "cores", "revision", "packages"} <= set(found)
    assert "/" not in str(found)
