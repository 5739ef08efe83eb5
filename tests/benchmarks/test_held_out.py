"""A benchmark that is killed ends with the same table; its report shows what was measured."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.results import open_results

pytestmark = pytest.mark.train

ROOT = Path(__file__).parents[2]
OPTIONS = (
    "--policy",
    "scripted:expert",
    "--tasks",
    "house-price",
    "--trajectories",
    "2",
    "--max-steps",
    "4",
    "--slots",
    "2",
)


def start(folder, *more):
    command = [sys.executable, "-m", "benchmarks.held_out", "--out", str(folder), *OPTIONS, *more]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    return output


def wait_for_steps(process, folder, steps):
    deadline = time.monotonic() + 300
    while sum(len(p.read_bytes().splitlines()) for p in folder.rglob("*.jsonl")) < steps:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill_after(process, folder, steps):
    wait_for_steps(process, folder, steps)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def figures(folder):
    values = json.loads((folder / "summary.json").read_text())
    for table in (values["tasks"], values["splits"]):
        for row in table.values():
            row.pop("seconds")
    return values["tasks"], values["splits"], values["failures"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark") / "whole"
    finish(start(folder))
    return folder


def test_a_killed_benchmark_ends_with_the_same_figures(finished, tmp_path):
    folder = tmp_path / "killed"
    kill_after(start(folder), folder, 3)
    written = {p: p.read_bytes() for p in folder.rglob("*.jsonl")}
    finish(start(folder))
    for path, before in written.items():
        whole_lines = before[: before.rfind(b"\n") + 1]
        assert path.read_bytes().startswith(whole_lines)  # nothing is done twice
    assert figures(folder) == figures(finished)


def test_a_node_that_dies_on_the_way_changes_no_figure(finished, tmp_path):
    nodes = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("two_nodes.py"))],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with nodes:
        assert nodes.stdin is not None
        assert nodes.stdout is not None
        address = next(line.strip() for line in nodes.stdout if ":" in line)
        benchmark = start(tmp_path / "nodes", "--ray", address)
        wait_for_steps(benchmark, tmp_path / "nodes", 2)
        nodes.stdin.write("drop\n")
        nodes.stdin.flush()
        assert any(line.strip() == "dropped" for line in nodes.stdout)
        finish(benchmark)
        nodes.stdin.close()
    assert figures(tmp_path / "nodes") == figures(finished)


def test_every_figure_comes_from_the_written_steps_alone(finished):
    kept = (finished / "summary.json").read_text()
    for name in ("summary.json", "report.md", "report.csv", "report.html"):
        (finished / name).unlink()
    command = [sys.executable, "-m", "benchmarks.held_out", "--report-only", "--out", str(finished)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    assert (finished / "summary.json").read_text() == kept


def test_the_reports_say_synthetic_and_show_the_same_numbers(finished):
    summary = open_results(finished).summary()
    average = f"{summary.tasks['house-price'].average:.5g}"
    for name in ("report.md", "report.html"):
        text = (finished / name).read_text()
        assert average in text
        assert "SYNTHETIC" in text


def test_the_report_needs_nothing_from_elsewhere(finished):
    page = (finished / "report.html").read_text()
    assert not re.findall(r"""src=|url\((?!["']?[#d])|@import""", page)
    links = {link for link in re.findall(r'href="([^"]*)"', page) if not link.startswith("#")}
    assert links == {f"trajectories/house-price/0{number}.html" for number in (0, 1)}
    assert all((finished / link).is_file() for link in links)
