"""What hostile scripts leave is neither followed nor run nor scored, as `attack` reports."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mlagent_gym.executor import RunStatus
from mlagent_gym.tasks import load_task, task_ids
from mlagent_gym.testing import attack

SUBMISSION = "submission.csv"

BAD_SUBMISSIONS = {
    "fifo": "import os; os.mkfifo('submission.csv')",
    "link to a file of the system": "import os; os.symlink('/etc/passwd', 'submission.csv')",
    "link to the answers' folder": "import os; os.symlink('../private', 'submission.csv')",
    "hard link": "import os; open('x', 'w').write('id'); os.link('x', 'submission.csv')",
    "folder": "import os; os.mkdir('submission.csv')",
    "socket": "import socket; socket.socket(socket.AF_UNIX).bind('submission.csv')",
    "sparse": "import os; os.truncate(os.open('submission.csv', 66), 120 << 20)",
    "gzip": "import gzip; gzip.open('submission.csv', 'wb').write(bytes(10**8))",
    "zero bytes": "open('submission.csv', 'wb').write(b'\\0' * 1000)",
    "open quote": "open('submission.csv', 'w').write('\"' + 'a,b\\n' * 10000)",
    "many columns": "open('submission.csv', 'w').write(','.join(map(str, range(200000))))",
    "huge integer": "open('submission.csv', 'w').write('id,y\\n1,' + '9' * 100000)",
    "not unicode": "open('submission.csv', 'wb').write(b'\\xff\\xfe' * 1000)",
    "endless line": "open('submission.csv', 'wb').write(b'a' * 10**7)",
    "unreadable": "import os; os.close(os.open('submission.csv', os.O_CREAT, 0))",
}


@pytest.mark.parametrize("name", BAD_SUBMISSIONS)
def test_a_bad_submission_scores_nothing_and_takes_no_time(name: str) -> None:
    started = time.monotonic()
    report = attack(BAD_SUBMISSIONS[name])
    assert report.score is None
    assert report.verdict
    assert SUBMISSION not in report.files
    assert time.monotonic() - started < 30


def test_the_sample_submission_is_scored() -> None:
    task = load_task(task_ids()[0])
    sample = task.submission.sample
    report = attack(f"import shutil; shutil.copy('../input/{sample}', 'submission.csv')")
    assert report.score is not None, report.verdict


def test_a_failed_run_is_not_scored() -> None:
    sample = load_task(task_ids()[0]).submission.sample
    report = attack(f"import shutil; shutil.copy('../input/{sample}', 'submission.csv'); 1 / 0")
    assert report.run.status is RunStatus.ERROR
    assert report.score is None


def test_planted_code_is_not_run_by_us(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    plant = f"open({str(witness)!r}, 'w').close()"
    report = attack(
        "import os, pickle\n"
        f"code = {plant!r}\n"
        "for name in ('sitecustomize', 'usercustomize', 'pandas', 'numpy', 'csv', 'conftest'):\n"
        "    open(name + '.py', 'w').write(code)\n"
        "open('evil.pth', 'w').write('import os; ' + code)\n"
        "os.mkdir('.git'); open('.git/config', 'w').write('[core]\\nfsmonitor = touch ' + code)\n"
        "class Evil:\n"
        "    def __reduce__(self): return exec, (code,)\n"
        "pickle.dump(Evil(), open('submission.csv', 'wb'))\n"
        "pickle.dump(Evil(), open('model.pkl', 'wb'))\n"
    )
    assert report.run.ok, report.run
    assert not witness.exists()
    assert {"pandas.py", "evil.pth", "model.pkl"} <= set(report.files)


def test_what_is_no_plain_file_is_left_behind() -> None:
    report = attack(
        "import os, socket\n"
        "open('plain', 'w').write('kept')\n"
        "os.symlink('/etc/passwd', 'link'); os.symlink('..', 'loop')\n"
        "os.mkfifo('fifo'); socket.socket(socket.AF_UNIX).bind('socket')\n"
        "open('two', 'w').close(); os.link('two', 'names')\n"
        "open(b'not-unicode-\\xff', 'w').close(); open('new\\nline', 'w').close()\n"
        "open('n' * 255, 'w').close()\n"
        "os.mkdir('closed'); open('closed/inside', 'w').close(); os.chmod('closed', 0)\n"
        "for _ in range(1500):\n"
        "    os.mkdir('d'); os.chdir('d')\n"
    )
    assert report.run.ok, report.run
    assert {"plain", "train.py", "closed/inside"} == set(report.files)
    assert report.files["plain"] == b"kept"


def test_a_script_replaced_by_a_link_cannot_be_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    report = attack(
        f"import os; os.remove('train.py'); os.symlink({str(outside)!r}, 'train.py')\n"
        "os.rename('sub', 'old') if os.path.exists('sub') else None\n"
        "os.symlink('/tmp', 'sub2')\n"
    )
    assert "train.py" not in report.files
    assert outside.read_text() == "untouched"


def test_too_many_files_are_no_state() -> None:
    report = attack("for i in range(4000): open(f'f{i}', 'w').close()")
    assert report.files == {}
    assert "files" in report.verdict


def test_a_report_says_what_stopped_a_run_and_why() -> None:
    from mlagent_gym.executor import Limits

    report = attack("while True: pass", limits=Limits(wall_s=0.5))
    assert report.run.status is RunStatus.TIMEOUT
    assert "0.5 s" in report.run.reason
