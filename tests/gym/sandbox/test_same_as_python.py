"""A script forked from the preloaded interpreter cannot tell that it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlagent_gym.executor import Executor, Limits
from mlagent_gym.sandbox import make_executor
from mlagent_gym.workspace import Workspace

LIMITS = Limits(wall_s=120, memory_mb=3000, processes=64, disk_mb=64)

SCRIPTS = {
    "main module": """
import sys
main = sys.modules["__main__"]
print(__name__, __file__, __package__, __spec__, __doc__, type(__loader__).__name__)
print(sorted(k for k in globals() if k != "main"), main.__dict__ is globals())
print(sys.argv, sys.orig_argv[1:], sys.path[0], sys.flags, sys.executable)
print([p for p in sys.path if "mlagent" in p], sys.stdout.encoding, sys.stdout.line_buffering)
""",
    "environment": """
import os, tempfile
print(sorted((k, v) for k, v in os.environ.items() if k != "LC_CTYPE"))
print(os.getcwd(), os.listdir(".."), sorted(os.listdir(".")), tempfile.gettempdir())
print(os.path.expanduser("~"), os.umask(0o22), os.getpriority(os.PRIO_PROCESS, 0))
print(len(os.listdir("/proc/self/fd")), os.getpid() == os.getpgid(0) == os.getsid(0))
""",
    "identity": """
import getpass, os, platform, socket, signal, resource
print(os.getuid() == os.geteuid() != 0, os.getgroups() in ([], [os.getgid()], [65534]))
print(socket.gethostname(), platform.node())
print([signal.getsignal(n) for n in (signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE)])
print([resource.getrlimit(n) for n in range(12)], os.sched_getaffinity(0))
""",
    "errors with causes": """
def inner():
    try:
        {}["x"]
    except KeyError as error:
        raise ValueError("outer") from error
class Odd(Exception):
    pass
try:
    inner()
except ValueError:
    raise Odd("odd")
""",
    "error groups and notes": """
e = ExceptionGroup("two", [ValueError(1), TypeError("t")])
e.add_note("noted")
raise e
""",
    "own excepthook": """
import sys
sys.excepthook = lambda kind, value, trace: print("mine", kind.__name__, trace.tb_lineno)
raise RuntimeError
""",
    "recursion": """
def f(n):
    return f(n + 1)
try:
    f(0)
except RecursionError as error:
    print(error)
""",
    "exit handlers and threads": """
import atexit, logging, threading, time, weakref
class Thing: pass
thing = Thing()
weakref.finalize(thing, print, "finalized")
atexit.register(print, "first registered")
atexit.register(print, "second registered")
logging.basicConfig(level="INFO")
logging.info("logged")
threading.Thread(target=lambda: (time.sleep(.1), print("thread"))).start()
print("end of main")
""",
    "exit in a handler": """
import atexit, os
atexit.register(os._exit, 5)
print("said")
""",
    "daemon thread": """
import threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print("done")
""",
    "source of its own": """
import inspect, linecache
def shown(x):
    return x  # a comment
print(inspect.getsource(shown), linecache.getline(__file__, 3))
""",
    "pickling its own classes": """
import copy, pickle
class Point:
    def __init__(self): self.x = 1
print(type(pickle.loads(pickle.dumps(Point()))) is Point, pickle.dumps(Point()))
""",
    "a pool of processes": """
import multiprocessing
def square(x): return x * x
if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        print(pool.map(square, range(5)))
    print(multiprocessing.get_start_method(), multiprocessing.current_process().name)
""",
    "spawned processes": """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
def square(x): return x * x
if __name__ == "__main__":
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        print(list(pool.map(square, range(5))))
""",
    "queues and managers": """
import multiprocessing as mp
def work(queue, shared):
    shared["x"] = 1
    queue.put("sent")
if __name__ == "__main__":
    with mp.Manager() as manager:
        shared, queue = manager.dict(), mp.Queue()
        p = mp.Process(target=work, args=(queue, shared))
        p.start(); print(queue.get()); p.join(); print(dict(shared), p.exitcode)
""",
    "subprocesses": """
import subprocess, sys
print(subprocess.run([sys.executable, "-c", "import numpy, sys; print(sys.argv)"],
                     capture_output=True, text=True))
print(subprocess.run("echo $HOME; cat /etc/hostname; id -u >/dev/null", shell=True,
                     capture_output=True, text=True).returncode)
""",
    "joblib": """
from joblib import Parallel, delayed
if __name__ == "__main__":
    print(Parallel(n_jobs=2)(delayed(pow)(i, 2) for i in range(4)))
""",
    "numbers": """
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.ensemble import RandomForestClassifier
rng = np.random.default_rng(0)
x = rng.normal(size=(300, 5)); y = (x[:, 0] + x[:, 1] ** 2 > .5).astype(int)
print(LogisticRegression().fit(x, y).coef_.tolist())
print(RandomForestClassifier(20, random_state=0).fit(x, y).predict_proba(x)[:5].tolist())
print(pd.DataFrame(x).describe().to_csv(), hash("text"), list({"a", "b", "c"}))
""",
    "a name that is preloaded": """
import statistics
print(statistics.__file__, statistics.ANSWER)
""",
}

TORCH_SCRIPTS = {
    "training": """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters())
x, y = torch.randn(64, 8), torch.randint(0, 2, (64,))
for _ in range(20):
    optimizer.zero_grad(); loss = nn.functional.cross_entropy(model(x), y); loss.backward()
    optimizer.step()
print(loss.item(), torch.get_num_threads(), torch.initial_seed(), torch.cuda.is_available())
""",
    "data loader with workers": """
import torch
from torch.utils.data import DataLoader, TensorDataset
if __name__ == "__main__":
    data = TensorDataset(torch.arange(20).float())
    for sharing in ("file_descriptor", "file_system"):
        torch.multiprocessing.set_sharing_strategy(sharing)
        loader = DataLoader(data, batch_size=5, num_workers=2)
        print([batch[0].sum().item() for batch in loader])
""",
}


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Executor, Executor]]:
    warm, cold = make_executor("warm"), make_executor("cold")
    yield warm, cold
    warm.close()
    cold.close()


def _check(script: str, both: tuple[Executor, Executor], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    seen = []
    for executor in both:
        workspace = Workspace(tmp_path / "data", tmp_path)
        workspace.write("train.py", script.encode())
        if "import statistics" in script:
            workspace.write("statistics.py", b"ANSWER = 42\n")
        run = executor.run("train.py", workspace.path, tmp_path / "data", LIMITS)
        workspace.close()
        seen.append((run.status, run.exit_code, run.output))
    assert seen[0] == seen[1]
    assert seen[0][2]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_does_the_same_warm_and_cold(
    name: str, both: tuple[Executor, Executor], tmp_path: Path
) -> None:
    _check(SCRIPTS[name], both, tmp_path)


@pytest.mark.parametrize("name", TORCH_SCRIPTS)
def test_a_torch_script_does_the_same_warm_and_cold(
    name: str, both: tuple[Executor, Executor], tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    _check(TORCH_SCRIPTS[name], both, tmp_path)


def test_what_is_not_seeded_differs_between_forks(
    both: tuple[Executor, Executor], tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "data").mkdir()
    workspace = Workspace(tmp_path / "data", tmp_path)
    workspace.write(
        "train.py",
        b"import random, numpy, torch, uuid, secrets\n"
        b"print(random.random(), numpy.random.rand(), torch.rand(1).item(), uuid.uuid4())\n",
    )
    runs = [
        both[0].run("train.py", workspace.path, tmp_path / "data", LIMITS).output.split()
        for _ in range(2)
    ]
    workspace.close()
    assert len(runs[0]) == 4
    assert all(first != second for first, second in zip(*runs, strict=True))
