"""What is shipped is what is here, and importing it is cheap."""

import configparser
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IN_CHECKOUT = (ROOT / "setup.cfg").is_file() and (ROOT / "task_assets").is_dir()
needs_checkout = pytest.mark.skipif(not IN_CHECKOUT, reason="needs the project's source tree")


def run_python(code, **kwargs):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, **kwargs
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.smoke
@pytest.mark.parametrize("package", ["mlagent_gym", "mlagent_train"])
def test_importing_pulls_in_nothing_heavy_and_prints_nothing(package):
    heavy = ("torch", "pandas", "sklearn", "scipy", "transformers", "ray", "openrlhf", "deepspeed")
    assert run_python(f"import {package}") == ""
    loaded = run_python(f"import {package}, sys, json; print(json.dumps(list(sys.modules)))")
    assert not set(json.loads(loaded)) & set(heavy)


@pytest.mark.smoke
def test_everything_exported_exists():
    import mlagent_gym

    assert all(hasattr(mlagent_gym, name) for name in mlagent_gym.__all__)
    assert mlagent_gym.__all__ == sorted(mlagent_gym.__all__, key=lambda n: (not n.isupper(), n))


@needs_checkout
def test_every_package_is_listed():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split()) - {"mlagent_gym.task_assets"}
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in ("mlagent_gym", "mlagent_train")
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert listed == found


TOY_TRAIN = """
import csv
SEED = 0
with open("../input/test.csv") as file:
    ids = [row["id"] for row in csv.DictReader(file)]
with open("submission.csv", "w") as file:
    file.write("id,y\\n" + "".join(f"{i},0.5\\n" for i in ids))
print("Validation: none")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel of a copy of the tree that has one more task folder."""
    if not IN_CHECKOUT:
        pytest.skip("needs the project's source tree")
    tree = tmp_path_factory.mktemp("tree")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("mlagent_gym", "mlagent_train", "task_assets"):
        shutil.copytree(ROOT / name, tree / name, ignore=ignore)
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    template = ROOT / "task_assets" / "house-price"
    toy = tree / "task_assets" / "a-twentieth-task"
    shutil.copytree(template, toy, ignore=ignore)
    (toy / "starter" / "train.py").write_text(TOY_TRAIN)
    (toy / "starter" / "__pycache__").mkdir()
    (toy / "starter" / "__pycache__" / "train.pyc").write_bytes(b"")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return tree, next((tree / "dist").glob("*.whl"))


def test_the_wheel_has_every_file_of_every_task(wheel):
    tree, path = wheel
    prefix = "mlagent_gym/task_assets/"
    with zipfile.ZipFile(path) as archive:
        shipped = {n.removeprefix(prefix) for n in archive.namelist() if n.startswith(prefix)}
    expected = {
        file.relative_to(tree / "task_assets").as_posix()
        for file in (tree / "task_assets").rglob("*")
        if file.is_file() and file.suffix != ".pyc" and file.parent != tree / "task_assets"
    }
    assert shipped == expected


def test_the_wheel_has_every_module_and_data_file(wheel):
    tree, path = wheel
    with zipfile.ZipFile(path) as archive:
        shipped = {
            n for n in archive.namelist() if n.startswith(("mlagent_gym/", "mlagent_train/"))
        }
    expected = {
        file.relative_to(tree).as_posix()
        for package in ("mlagent_gym", "mlagent_train")
        for file in (tree / package).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    assert {name for name in shipped if "/task_assets/" not in name} == expected


def test_a_twentieth_task_is_one_folder(wheel, tmp_path):
    _, path = wheel
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    code = """
import gymnasium, mlagent_gym
assert "MLAgent/a-twentieth-task-v0" in gymnasium.registry
assert mlagent_gym.load_task("a-twentieth-task").metric == "mae"
assert "site-packages" not in mlagent_gym.__file__
"""
    run_python(code, cwd=tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "mlagent_gym", "list", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "a-twentieth-task" in done.stdout, done.stderr


@needs_checkout
def test_the_page_of_scores_is_what_the_command_prints():
    command = [sys.executable, "-m", "mlagent_gym", "scores", "--all"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    page = (ROOT / "docs" / "tasks.md").read_text()
    assert page == done.stdout, "write it anew: mlagent scores --all > docs/tasks.md"
