"""Scripts run wherever the interpreter lies, the temporary folder included."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import mlagent_gym
from mlagent_gym.sandbox import make_executor
from mlagent_gym.sandbox.levels import best_level, closed_to_scripts, trouble_with
from mlagent_gym.tasks import assets_root

RUN = """
import json, sys
from pathlib import Path
from mlagent_gym import Limits, make_executor
root = Path(sys.argv[1])
executor = make_executor(sys.argv[2])
run = executor.run("train.py", root / "work", root / "data", Limits())
executor.close()
print(json.dumps([run.status, run.output]))
"""


@pytest.mark.parametrize("way", ["warm", "cold"])
def test_an_interpreter_in_the_temporary_folder_can_run_scripts(tmp_path, way):
    try:
        make_executor(way).close()
    except Exception as error:
        pytest.skip(str(error))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    episode = tmp_path / "episode"
    for name in ("work", "data"):
        (episode / name).mkdir(parents=True)
    (episode / "input").symlink_to("data")
    (episode / "work" / "train.py").write_text("import sys; print(sys.prefix)")
    root = Path(__file__).parents[3]
    paths = [str(root), sysconfig.get_paths()["purelib"]]
    done = subprocess.run(
        [tmp_path / "venv" / "bin" / "python", "-c", RUN, episode, way],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["ok", f"{tmp_path / 'venv'}\n"]


RUN_AT = """
import json, sys
from pathlib import Path
import mlagent_gym
from mlagent_gym.executor import Limits
from mlagent_gym.sandbox import SandboxExecutor
root = Path(sys.argv[1])
executor = SandboxExecutor("LEVEL", warm=False)
run = executor.run("train.py", root / "work", root / "data", Limits())
executor.close()
print(json.dumps([str(Path(mlagent_gym.__file__).parents[1]), run.status, run.output]))
"""
SPY = """
import glob, os, sys
prefix, home = sys.prefix, {home!r}
sys.path.insert(0, prefix + "/lib64/python3." + str(sys.version_info[1]) + "/site-packages")
def attempt(what, action):
    try:
        print("BREACH", what, action())
    except (OSError, ImportError, IndexError):
        pass
def read(pattern):
    return open(glob.glob(pattern)[0]).read()
attempt("import", lambda: __import__("mlagent_gym.tasks"))
for lib in ("lib", "lib64"):
    packages = prefix + "/" + lib + "/python3*/site-packages/"
    attempt("source", lambda: read(packages + "mlagent_gym/data.py"))
    attempt("recipe", lambda: read(packages + "mlagent_gym/task_assets/*/prepare.py"))
attempt("home", lambda: read(home + "/secret"))
attempt("labels", lambda: read(prefix + "/cache/task/private/labels.csv"))
import companion
print(companion.__name__, "imported")
"""
CONFINED = ["cold", "landlock"]


@pytest.mark.parametrize("way", CONFINED)
def test_a_wheel_and_a_cache_inside_the_interpreters_folders_are_hidden(tmp_path, way):
    """As installed by pip into an environment made by a python that a link in a home leads to."""
    if way == "landlock":
        if closed_to_scripts():
            pytest.skip("the interpreter's folder is closed to root's scripts")
        if trouble := trouble_with(way):
            pytest.skip(f"level landlock: {trouble.splitlines()[-1]}")
    for folder in (tmp_path, *tmp_path.parents):  # root's scripts are another user
        if folder.stat().st_mode & 0o001:
            break
        folder.chmod(folder.stat().st_mode | 0o011)
    home, venv = tmp_path / "home", tmp_path / "home/project/venv"
    (home / "bin").mkdir(parents=True)
    (home / "bin/python3").symlink_to(sys._base_executable)
    (home / "secret").write_text("secret")
    subprocess.run([home / "bin/python3", "-m", "venv", "--without-pip", venv], check=True)
    (packages,) = venv.glob("lib/python3*/site-packages")
    gym = Path(mlagent_gym.__file__).parent
    shutil.copytree(gym, packages / "mlagent_gym", ignore=shutil.ignore_patterns("__pycache__"))
    (task,) = [path for path in assets_root().iterdir() if path.name == "house-price"]
    shutil.copytree(task, packages / "mlagent_gym/task_assets" / task.name, dirs_exist_ok=True)
    (packages / "companion.py").touch()
    (venv / "cache/task/private").mkdir(parents=True)
    (venv / "cache/task/private/labels.csv").write_text("labels")
    episode = tmp_path / "episode"
    for name in ("work", "data"):
        (episode / name).mkdir(parents=True)
    (episode / "input").symlink_to("data")
    (episode / "work" / "train.py").write_text(SPY.format(home=str(home)))
    run = RUN_AT.replace("LEVEL", "landlock" if way == "landlock" else best_level())
    done = subprocess.run(
        [venv / "bin/python", "-c", run, episode],
        env={
            **os.environ,
            "PYTHONPATH": sysconfig.get_paths()["purelib"],
            "MLAGENT_CACHE": str(venv / "cache"),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [str(packages), "ok", "companion imported\n"]
