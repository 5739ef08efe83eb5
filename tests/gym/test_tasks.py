from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mlagent_gym.errors import TaskError, UnknownTaskError
from mlagent_gym.tasks import (
    Submission,
    assets_root,
    load_ideas,
    load_module,
    load_task,
    task_ids,
)

HELD_IN = {
    "cifar10",
    "aerial-cactus-identification",
    "dogs-vs-cats-redux-kernels-edition",
    "plant-pathology-2020-fgvc7",
    "house-price",
    "spaceship-titanic",
    "nomad2018-predict-transparent-conductors",
    "feedback",
    "ogbn-arxiv",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a task folder that a test may spoil."""
    copy = tmp_path / "house-price"
    shutil.copytree(assets_root() / "house-price", copy)
    return copy


def test_every_folder_with_a_task_toml_is_a_task_named_after_it() -> None:
    for name in task_ids():
        task = load_task(name)
        assert (task.id, task.folder.name, task.env_id) == (name, name, f"MLAgent/{name}-v0")
        assert (task.split == "held-in") == (name in HELD_IN)


@pytest.mark.parametrize("name", ["house-prices", "HOUSE-PRICE", "cifar", "../house-price", ""])
def test_an_unknown_name_is_refused_with_the_nearest_ones(name: str) -> None:
    with pytest.raises(UnknownTaskError, match=r"Did you mean|Known: "):
        load_task(name)


def test_a_near_miss_gets_a_suggestion() -> None:
    with pytest.raises(UnknownTaskError, match="Did you mean house-price"):
        load_task("house-prices")


def test_starter_files_do_not_include_bytecode(folder: Path) -> None:
    (folder / "starter" / "__pycache__").mkdir()
    (folder / "starter" / "__pycache__" / "train.pyc").write_bytes(b"")
    task = replace(load_task("house-price"), folder=folder)
    assert set(task.starter_files()) == {"train.py"}


@pytest.mark.parametrize("missing", ["starter", "reference"])
def test_a_missing_folder_is_the_author_s_fault(folder: Path, missing: str) -> None:
    shutil.rmtree(folder / missing)
    task = replace(load_task("house-price"), folder=folder)
    with pytest.raises(TaskError, match="every task folder has one"):
        _ = task.starter_files() if missing == "starter" else task.reference_files()


@pytest.mark.parametrize(
    ("spoiled", "complaint"),
    [
        ("[[ideas]]\nname = 'x'\nidea = 'y'\n", "edits: field required"),
        ("[[ideas]]\nname = 'x'\nidea = 'y'\nedits = []\ntypo = 1\n", "typo: unexpected"),
        ("not toml", "not valid TOML"),
    ],
)
def test_what_is_wrong_with_ideas_is_named(folder: Path, spoiled: str, complaint: str) -> None:
    (folder / "ideas.toml").write_text(spoiled)
    with pytest.raises(TaskError, match=f"(?i){complaint}"):
        load_ideas(replace(load_task("house-price"), folder=folder))


def test_a_missing_module_is_the_author_s_fault(folder: Path) -> None:
    task = replace(load_task("house-price"), folder=folder)
    with pytest.raises(TaskError, match=r"grade\.py is missing"):
        load_module(task, "grade")


def test_submissions_are_hashable_so_that_answers_can_be_cached() -> None:
    assert hash(Submission(targets=("x",))) == hash(Submission(targets=("x",)))


SPOILED = """
import sys
from pathlib import Path
import mlagent_gym.tasks as tasks
from mlagent_gym.errors import TaskError
tasks.assets_root = lambda: Path(sys.argv[1])
try:
    tasks.load_task("house-price")
except TaskError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('split = "somewhere"', "split: input should be 'held-in' or 'held-out'"),
        ("colour = 3", "colour: unexpected"),
        ('metric = "mae"\nmetric = "mae"', "not valid TOML"),
        ("", "split: field required"),
    ],
)
def test_what_is_wrong_with_a_task_toml_is_named(folder: Path, line: str, complaint: str) -> None:
    path = folder / "task.toml"
    path.write_text(path.read_text().replace('split = "held-in"', line, 1))
    done = subprocess.run(
        [sys.executable, "-c", SPOILED, str(folder.parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert complaint.lower() in done.stdout.lower(), done.stdout
