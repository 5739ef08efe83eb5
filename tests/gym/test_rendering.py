"""What a person sees: the step, its diff, and how the score went; and nothing else happens."""

import re

import pytest

from mlagent_gym import FakeExecutor
from mlagent_gym.executor import Run, RunStatus
from mlagent_gym.rendering import sparkline
from mlagent_gym.tasks import load_task

from .conftest import TASK, edit, quality

TITLE = load_task(TASK).title


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize(
    ("values", "higher", "expected"),
    [
        ([1.0], True, "▁"),
        ([1.0, 1.0], False, "▁▁"),
        ([0.0, 0.5, 1.0], True, "▁▅█"),
        ([0.0, 0.5, 1.0], False, "█▅▁"),
    ],
)
def test_higher_bars_are_better_scores(values, higher, expected):
    assert sparkline(values, higher_is_better=higher) == expected


def test_each_step_is_shown_with_diff_output_and_scores(make_env):
    env = make_env(render_mode="ansi")
    env.reset(seed=0)
    assert TITLE in plain(env.render())
    env.step(quality(0.5))
    env.step("Thought: even better\n" + quality(0.9))
    shown = plain(env.render())
    assert "step 2: Edit Script" in shown
    assert "Thought: even better" in shown
    assert "+QUALITY = 0.9" in shown
    assert "validation score: 0.9" in shown
    assert "▁" in shown
    assert "█" in shown
    assert "\x1b[32m+QUALITY = 0.9" in env.render()


def test_a_person_sees_every_step_without_asking(make_env, capsys):
    env = make_env(render_mode="human")
    env.reset(seed=0)
    assert TITLE in plain(capsys.readouterr().out)
    env.step("nonsense")
    assert "step 1: Invalid" in plain(capsys.readouterr().out)
    assert make_env().unwrapped.render() is None


def test_a_restored_episode_shows_the_scores_before(make_env):
    env = make_env(render_mode="ansi")
    env.reset(seed=0)
    env.step(quality(0.5))
    shown = env.render()
    other = make_env(render_mode="ansi")
    other.reset(options={"state": env.unwrapped.state()})
    assert other.render() == shown


def test_output_cannot_command_the_terminal(make_env):
    evil = Run(RunStatus.OK, "\x1b[2J\x1b]0;title\x07 [bold]x[/bold] \u202e\r", exit_code=0)
    env = make_env(executor=FakeExecutor(lambda *_: evil), render_mode="ansi")
    env.reset(seed=0)
    env.step(edit("x"))
    shown = plain(env.render())
    assert "[bold]x[/bold]" in shown
    assert not {"\x1b", "\x07", "\u202e", "\r"} & set(shown)


def test_a_long_output_is_cut_in_the_middle(make_env):
    long = Run(RunStatus.OK, "\n".join(f"line {i}" for i in range(999)), exit_code=0)
    env = make_env(executor=FakeExecutor(lambda *_: long), render_mode="ansi")
    env.reset(seed=0)
    env.step(edit("x"))
    shown = plain(env.render())
    assert "lines ...]" in shown
    assert shown.count("\n") < 80
