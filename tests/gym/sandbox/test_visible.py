"""What confined scripts see of this interpreter's place."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlagent_gym import tasks
from mlagent_gym.executor import Limits
from mlagent_gym.sandbox import SandboxExecutor, visible
from mlagent_gym.sandbox.levels import best_level

RUN = """
from pathlib import Path
from mlagent_gym.executor import Limits
from mlagent_gym.sandbox import make_executor
work = Path("work")
work.mkdir()
(work / "train.py").write_text("print('ran')")
executor = make_executor("cold")
print(executor.run("train.py", work, work, Limits(wall_s=60)).output)
executor.close()
"""


def test_a_python_started_by_a_path_with_dots_is_shown_by_one_without(monkeypatch, tmp_path):
    venv = tmp_path / "venv" / "bin"
    venv.mkdir(parents=True)
    (venv / "python").symlink_to(sys.executable)
    (tmp_path / "elsewhere").mkdir()
    dotted = tmp_path / "elsewhere" / ".." / "venv"
    monkeypatch.setattr(sys, "executable", f"{dotted}/bin/python")
    monkeypatch.setattr(sys, "prefix", str(dotted))
    assert visible.interpreter() == f"{venv}/python"
    assert str(tmp_path / "venv") in visible.interpreter_folders()
    assert not any(".." in folder for folder in visible.interpreter_folders())


def test_scripts_run_under_a_python_started_by_a_path_with_dots(tmp_path):
    python = Path(sys.executable)
    dotted = python.parent.parent / python.parent.name / ".." / python.parent.name / python.name
    done = subprocess.run(
        [str(dotted), "-c", RUN], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "ran", done.stderr


def test_a_link_to_the_interpreter_does_not_show_the_folder_it_lies_in(monkeypatch, tmp_path):
    home, venv = tmp_path / "home", tmp_path / "venv"
    for folder in (home / "bin", venv / "bin"):
        folder.mkdir(parents=True)
    (home / "bin/python3").symlink_to(sys._base_executable)
    (venv / "bin/python").symlink_to(home / "bin/python3")
    monkeypatch.setattr(sys, "executable", str(venv / "bin/python"))
    monkeypatch.setattr(sys, "prefix", str(venv))
    shown = visible.interpreter_folders()
    assert {str(home / "bin/python3"), str(venv), sys.base_prefix} <= {*shown, "/usr"}
    assert not {str(home), str(home / "bin")} & set(shown)


def test_a_prefix_reached_by_another_name_is_shown_by_that_too(monkeypatch, tmp_path):
    (tmp_path / "python-3").symlink_to(sys.base_prefix)
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/python").symlink_to(tmp_path / "python-3/bin/python3")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv/bin/python"))
    assert str(tmp_path / "python-3") in visible.interpreter_folders()


def test_of_a_checkout_all_is_hidden_and_of_a_wheel_what_is_ours(monkeypatch, tmp_path):
    for name in ("src/mlagent_gym/sandbox", "src/task_assets", "site/mlagent_gym/task_assets"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "src/pyproject.toml").touch()
    (tmp_path / "site/numpy").mkdir()
    for root in (tmp_path / "src", tmp_path / "site"):
        monkeypatch.setattr(visible, "__file__", str(root / "mlagent_gym/sandbox/visible.py"))
        monkeypatch.setattr(tasks, "__file__", str(root / "mlagent_gym/tasks.py"))
        hidden = set(map(Path, visible.own_folders()))
        assert {root / "mlagent_gym", root / "mlagent_train"} <= hidden
        assert any(assets.exists() and assets.name == "task_assets" for assets in hidden)
        assert (root in hidden) == (root.name == "src")


def test_the_cache_is_hidden_only_where_it_would_be_seen(monkeypatch, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "shown")
    (tmp_path / "shown").mkdir()
    shown = (str(tmp_path / "link"),)
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path / "elsewhere"))
    assert visible.hidden_folders(shown) == visible.own_folders()
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path / "shown/cache"))
    assert str(tmp_path / "shown/cache") in visible.hidden_folders(shown)
    assert (tmp_path / "shown/cache").is_dir()


def test_what_is_asked_for_below_a_hidden_folder_is_shown(tmp_path):
    for name in ("shown/hidden/asked", "work", "data"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("shown/seen", "shown/hidden/secret", "shown/hidden/asked/seen"):
        (tmp_path / name).write_text(name)
    (tmp_path / "shown/link").symlink_to("hidden")
    (tmp_path / "input").symlink_to("data")
    (tmp_path / "work/train.py").write_text(
        f"import os\nos.chdir({str(tmp_path / 'shown')!r})\n"
        "for name in ('seen', 'hidden/secret', 'link/secret', 'hidden/asked/seen'):\n"
        "    try:\n        print(name, bool(open(name).read()))\n"
        "    except OSError:\n        print(name, False)\n"
    )
    shown = tuple(str(tmp_path / name) for name in ("shown/hidden/asked", "shown"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLAGENT_CACHE", str(tmp_path / "shown/hidden"))
        executor = SandboxExecutor(best_level(), warm=False, visible=shown)
    run = executor.run("train.py", tmp_path / "work", tmp_path / "data", Limits(wall_s=60))
    executor.close()
    assert run.output.splitlines() == [
        "seen True",
        "hidden/secret False",
        "link/secret False",
        "hidden/asked/seen True",
    ]
