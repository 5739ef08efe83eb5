"""The command as a whole: both ways to start it, its help, completion and colours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlagent_gym.cli import app

SCRIPT = Path(sys.executable).with_name("mlagent")
COMMANDS = sorted(command.name for command in app.registered_commands)


def run(*command, **variables):
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment | variables
    )


@pytest.mark.skipif(not SCRIPT.exists(), reason="needs the installed console script")
@pytest.mark.parametrize("arguments", [["view", "--help"], ["--version"], ["check"]])
def test_the_module_and_the_console_script_agree(arguments):
    one = run(SCRIPT, *arguments)
    two = run(sys.executable, "-m", "mlagent_gym", *arguments)
    assert (one.returncode, one.stdout, one.stderr) == (two.returncode, two.stdout, two.stderr)
    assert (one.returncode == 0) == any(word.startswith("--") for word in arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_that_says_what_it_does(name):
    done = CliRunner().invoke(app, [name, "--help"])
    assert done.exit_code == 0
    assert len(done.output.split()) > 20


def completed(typed):
    words = typed.split()
    at = len(words) - (not typed.endswith(" "))
    done = run(
        *(sys.executable, "-m", "mlagent_gym"),
        _MLAGENT_COMPLETE="complete_bash",
        COMP_WORDS=typed,
        COMP_CWORD=str(at),
    )
    return done.stdout.split()


def test_a_shell_completes_commands_and_tasks():
    assert completed("mlagent re") == ["replay"]
    assert completed("mlagent play spa") == ["spaceship-titanic"]


def test_colours_are_left_out_where_they_are_not_wanted():
    import pty

    def on_a_terminal(**variables):
        ours, theirs = pty.openpty()
        environment = {key: v for key, v in os.environ.items() if key != "NO_COLOR"}
        environment |= {"TERM": "xterm-256color", "COLUMNS": "120"} | variables
        process = subprocess.Popen(
            [sys.executable, "-m", "mlagent_gym", "doctor"],
            **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
            env=environment,
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # what Linux says when the other end is closed
                break
            if not part:
                break
            shown += part
        os.close(ours)
        assert process.wait(60) == 0
        return shown

    coloured = (b"\x1b[3", b"\x1b[1;3", b"\x1b[9")
    plain = on_a_terminal(NO_COLOR="1")
    assert b"machine" in plain
    assert not any(code in plain for code in coloured)
    assert any(code in on_a_terminal() for code in coloured)
