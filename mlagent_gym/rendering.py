"""What a person sees of an episode in a terminal: the last step, and how the score went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlagent_gym.actions import parse
from mlagent_gym.state import Exchange, State
from mlagent_gym.tasks import Task

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

__all__ = ["frame", "sparkline", "to_ansi"]

_BARS = "▁▂▃▄▅▆▇█"
_MAX_LINES = 60
_MAX_PROSE_CHARS = 600


def frame(
    task: Task,
    state: State,
    history: Sequence[Exchange],
    *,
    initial: float,
    reference: float,
    higher_is_better: bool,
) -> RenderableType:
    """Return the last step of an episode, or its task if there was none.

    Parameters
    ----------
    task, state, history
        The task, the state now and the steps that led to it.
    initial, reference
        Scores of the starter and of the best known solution.
    higher_is_better
        Direction of the metric.
    """
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    scores = [initial, *(turn.score for turn in history if turn.score is not None)]
    status = Text.assemble(
        (sparkline(scores, higher_is_better=higher_is_better), "bold green"),
        f"  {task.metric} ({'higher' if higher_is_better else 'lower'} is better)  ",
        (f"now {_number(state.score)}  best {_number(state.best_score)}", "bold"),
        f"  starter {_number(initial)}  reference {_number(reference)}  ",
        (f"{state.elapsed_s:.0f} s", "dim"),
    )
    if not history:
        title = f"{task.title}, {state.variant} data"
        return Group(Panel(_plain(task.description.strip()), title=title), status)
    turn = history[-1]
    action = parse(turn.reply)
    prose = _plain(turn.reply.partition("\nAction:")[0] if "\nAction:" in turn.reply else "")
    prose.truncate(_MAX_PROSE_CHARS)
    prose.stylize("dim italic")
    body = Group(*([prose] if prose.plain.strip() else []), _highlighted(turn.feedback))
    title = f"{task.id} ({state.variant} data), step {state.step}: {action.name}"
    return Group(Panel(body, title=title, title_align="left"), status)


def sparkline(values: Sequence[float], *, higher_is_better: bool = True) -> str:
    """Return one bar a value; higher bars are better values."""
    signed = [value if higher_is_better else -value for value in values]
    low, high = min(signed), max(signed)
    if low == high:
        return _BARS[0] * len(signed)
    return "".join(_BARS[round((v - low) / (high - low) * (len(_BARS) - 1))] for v in signed)


def to_ansi(content: RenderableType, width: int = 100) -> str:
    """Return what a terminal of some width would be sent."""
    from rich.console import Console

    console = Console(
        width=width, force_terminal=True, color_system="standard", legacy_windows=False
    )
    with console.capture() as capture:
        console.print(content)
    return capture.get()


def _highlighted(feedback: str) -> Text:
    """Return a feedback with the lines of its diff coloured and its middle cut if it is long."""
    from rich.text import Text

    lines = _plain(feedback).plain.splitlines()
    if len(lines) > _MAX_LINES:
        half = _MAX_LINES // 2
        lines = [*lines[:half], f"[... {len(lines) - 2 * half} lines ...]", *lines[-half:]]
    styles = {"+": "green", "-": "red", "@": "cyan"}
    shown, in_diff = Text(), False
    for line in lines:
        in_diff = bool(line) and (in_diff or line.startswith("--- "))
        shown.append(line + "\n", style=styles.get(line[:1], "") if in_diff else "")
    shown.rstrip()
    return shown


def _plain(text: str) -> Text:
    """Return a text that cannot command the terminal, whatever a script has printed."""
    from rich.text import Text

    return Text("".join(c if c.isprintable() or c in "\n\t" else "�" for c in text))


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.5g}"
