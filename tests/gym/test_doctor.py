"""The doctor says how it stands with a machine, and what to do; wrong machines are made up here."""

import json
import os
import platform
import re
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from mlagent_gym import data
from mlagent_gym.cli import app
from mlagent_gym.doctor import Status, examine, machine, packages, surroundings
from mlagent_gym.sandbox import layers, levels
from mlagent_gym.sandbox.layers import Layer, Presence
from mlagent_gym.tasks import load_task, task_ids

ROOT = Path(__file__).parents[2]


def by_name(findings):
    return {one.name: one for one in findings}


@pytest.fixture
def installed(monkeypatch):
    """Make up what is installed: versions and requirements by distribution."""

    def install(versions, needs):
        def version(name):
            if name not in versions:
                raise PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(packages, "version", version)
        monkeypatch.setattr(packages, "requires", lambda name: needs.get(name, []))
        return by_name(packages.findings())

    return install


OURS = [
    "gymnasium>=1.2",
    'torch>=2.6; extra == "torch"',
    'torch==2.13.0; extra == "train"',
    'ray==2.55.0; extra == "train"',
    'mlagent-gym[train]; extra == "train-gpu"',
    'vllm==0.29.0; extra == "train-gpu"',
]
ENGINE = ["ray[default]==2.55.0", "flash-attn==2.8.3", 'vllm==0.9; extra == "vllm"']
WHOLE = {"mlagent-gym": "1", "gymnasium": "1.2.1", "torch": "2.13.0+cpu", "ray": "2.55.0"}


def test_this_machine_can_be_used():
    found = examine()
    assert {one.section for one in found} >= {"machine", "sandbox", "packages", "data", "endpoints"}
    assert not [one for one in found if one.needed and one.status is not Status.OK]
    assert not [one for one in found if one.status is not Status.OK and not one.remedy]
    assert set(task_ids()) <= {one.name for one in found if one.section == "data"}


def test_the_command_ends_well_and_speaks_json():
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0
    assert "The environments can be used" in done.stdout
    rows = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert {"section", "name", "status", "value", "remedy", "needed"} == set(rows[0])


def test_a_machine_without_a_sandbox_is_broken(monkeypatch):
    def layers():
        return [
            Layer("level ns", Presence.MISSING, "no namespaces", "allow them."),
            Layer("level landlock", Presence.MISSING, "too old", "needs Linux 6.12."),
            Layer("docker", Presence.MISSING, "not installed"),
        ]

    monkeypatch.setattr(surroundings, "layers", layers)
    found = by_name(surroundings.sandbox())
    assert found["scripts"].status is Status.BROKEN
    assert found["level ns"].status is Status.BROKEN
    assert found["level ns"].remedy == "allow them."
    assert found["docker"].status is Status.ABSENT
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "cannot be used before this is put right: scripts" in " ".join(done.stdout.split())


def test_a_machine_of_another_processor_is_told_so(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(layers, "trouble_with", levels._try)  # what is remembered is of this one
    found = by_name([*machine.findings(), *surroundings.sandbox()])
    assert found["system"].status is Status.BROKEN
    assert "x86-64" in found["system"].remedy
    assert found["scripts"].status is Status.BROKEN
    for name in ("level ns", "level landlock"):
        assert "only Linux on x86-64" in found[name].value
        assert found[name].remedy == "use a machine with Linux on x86-64"


def test_no_advice_names_a_make_target_that_is_not_there():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    source = (ROOT / "mlagent_gym/doctor/packages.py").read_text()
    named = re.findall(r"\bmake (\w+)", source)
    assert named
    assert set(named) <= set(targets)


def test_the_second_level_will_do(monkeypatch):
    layers = [
        Layer("level ns", Presence.MISSING, "no", "allow it."),
        Layer("level landlock", Presence.ACTIVE, ""),
    ]
    monkeypatch.setattr(surroundings, "layers", lambda: layers)
    found = by_name(surroundings.sandbox())
    assert found["scripts"].status is Status.OK
    assert found["level ns"].status is Status.BROKEN
    assert not found["level ns"].needed


def test_packages_as_pinned_fit(installed):
    found = installed({**WHOLE, "openrlhf": "0.11.2"}, {"mlagent-gym": OURS, "openrlhf": ENGINE})
    assert found["mlagent-gym"].status is Status.OK
    assert found["extra torch"].value == "torch 2.13.0+cpu"
    assert found["openrlhf"].status is Status.OK, "flash-attn is none of the trainer's packages"
    assert found["pins of this project"].value == "torch 2.13.0+cpu, ray 2.55.0"
    assert found["vLLM"].status is Status.ABSENT


def test_packages_that_do_not_fit_are_named(installed):
    versions = {**WHOLE, "gymnasium": "1.0", "ray": "2.9", "openrlhf": "0.11.2", "vllm": "0.9"}
    found = installed(versions, {"mlagent-gym": OURS, "openrlhf": ENGINE})
    assert found["mlagent-gym"].status is Status.BROKEN
    assert found["mlagent-gym"].needed
    assert "gymnasium 1.0 (needs >=1.2)" in found["mlagent-gym"].value
    assert "ray 2.9 (needs ==2.55.0)" in found["openrlhf"].value
    assert found["pins of this project"].status is Status.BROKEN
    assert found["vLLM"].status is Status.BROKEN
    assert not found["vLLM"].needed


def test_without_the_trainer_nothing_is_broken(installed):
    versions = {"mlagent-gym": "1", "gymnasium": "1.2.1"}
    found = installed(versions, {"mlagent-gym": OURS})
    assert [one.name for one in found.values() if one.status is Status.BROKEN] == []
    assert found["packages"].value == "not installed: openrlhf, torch, ray"
    assert "requirements/README.md" in found["packages"].remedy


def test_misfits_name_what_is_missing():
    assert packages.misfits([(Requirement("a>=2"), "3"), (Requirement("b"), "")]) == [
        "b missing (needs any)"
    ]


@pytest.mark.parametrize(
    "code, status",
    [
        ("echo 'NVIDIA H200, 143771 MiB, 550.1'; echo 'NVIDIA H200, 143771 MiB, 550.1'", Status.OK),
        (
            "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 9",
            Status.BROKEN,
        ),
        ("exit 3", Status.BROKEN),
        ("true", Status.ABSENT),
    ],
)
def test_graphics_processors_are_those_the_driver_names(code, status, monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{code}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = by_name(machine.findings())["GPU"]
    assert found.status is status
    assert not found.needed
    assert (status is Status.OK) == found.value.startswith("2: NVIDIA H200")


def test_a_cache_that_cannot_be_written_to_is_broken(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path / "file" / "cache"))
    found = by_name(machine.findings())["cache"]
    assert found.status is Status.BROKEN
    assert found.needed
    assert "MLAGENT_CACHE" in found.remedy


def test_data_are_shown_by_variant(monkeypatch, tmp_path):
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path))
    assert by_name(surroundings.data_of_tasks())["house-price"].value.endswith("first use)")
    data.synthetic(load_task("house-price"), size=20)
    real = tmp_path / "house-price" / "real"
    real.mkdir()
    facts = {"variant": "real", "fingerprint": "0123456789", "seed": None, "size": None}
    (real / "manifest.json").write_text(json.dumps(facts))
    found = by_name(surroundings.data_of_tasks())
    assert found["house-price"].value == "synthetic, real (01234567)"
    assert (
        found["real data"].value
        == f"not prepared for {len(task_ids()) - 1} of {len(task_ids())} tasks"
    )
    (real / "manifest.json").write_text("torn")
    damaged = by_name(surroundings.data_of_tasks())["house-price"]
    assert damaged.status is Status.BROKEN
    assert str(real) in damaged.remedy


def test_endpoints_are_shown_without_their_keys(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("MLAGENT_EDITOR_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    assert {one.status for one in surroundings.endpoints()} == {Status.ABSENT}
    monkeypatch.setenv("MLAGENT_EDITOR_BASE_URL", "http://127.0.0.1:9/v1")
    assert by_name(surroundings.endpoints())["editor"].status is Status.BROKEN, "which model?"
    monkeypatch.setenv("MLAGENT_EDITOR_MODEL", "small")
    monkeypatch.setenv("MLAGENT_EDITOR_KEY", "a-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "another-secret")
    found = by_name(surroundings.endpoints())
    assert found["editor"].value == "small at http://127.0.0.1:9/v1, with a key"
    assert found["policies"].status is Status.OK
    assert "secret" not in str(found)
