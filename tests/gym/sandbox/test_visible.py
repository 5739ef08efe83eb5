"""What confined scripts see of this interpreter's place."""

import subprocess
import sys
from pathlib import Path

from mlagent_gym.sandbox import visible

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
