"""Scripts run wherever the interpreter lies, the temporary folder included."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from mlagent_gym.sandbox import make_executor

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
