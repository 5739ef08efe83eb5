"""The examples of the pages run as they are printed."""

import contextlib
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlagent_gym.cli import app

sybil = pytest.importorskip("sybil", reason="the wheel is tried without the tools of the tests")

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (
    "index",
    "environments",
    "step-wise",
    "actions",
    "rewards",
    "states",
    "recordings",
    "viewer",
    "extending",
)

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="needs the project's source tree")


def run_commands(example):
    """Carry out the lines of a console session; each must succeed."""
    for line in example.parsed.splitlines():
        prompt, word, *args = shlex.split(line)
        assert prompt == "$"
        if word == "mkdir":
            Path(*args).mkdir()
        else:
            assert word == "mlagent"
            result = CliRunner().invoke(app, args)
            assert result.exit_code == 0, f"{line}\n{result.output}"


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page, tmp_path):
    from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

    parsers = [PythonCodeBlockParser(), CodeBlockParser("console", run_commands)]
    document = sybil.Sybil(parsers=parsers, path=str(DOCS)).parse(DOCS / f"{page}.md")
    with contextlib.chdir(tmp_path):
        examples = list(document.examples())
        for example in examples:
            example.evaluate()
    assert examples
