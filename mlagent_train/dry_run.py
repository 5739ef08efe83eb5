"""``--dry-run``: the commands, what they need, and whether this machine has it."""

from __future__ import annotations

from rich.console import Console

from mlagent_train.cli import shell_command
from mlagent_train.errors import MachineError
from mlagent_train.plan import resource_plan
from mlagent_train.ppo_command import ppo_argv
from mlagent_train.preflight import preflight
from mlagent_train.rlhf.options import PPO_COMMAND
from mlagent_train.run import Run
from mlagent_train.sft import sft_command

__all__ = ["show_plan"]


def show_plan(run: Run, console: Console) -> None:
    """Print OpenRLHF's commands, the resource plan and the checks of this machine.

    Raises
    ------
    ConfigError
        OpenRLHF cannot run this configuration anywhere.
    MachineError
        This machine cannot run it as it is; the failed checks were printed.
    """
    if run.config.sft.enabled:
        console.print(sft_command(run), highlight=False, soft_wrap=True)
        console.print()
    console.print(shell_command(PPO_COMMAND, ppo_argv(run)), highlight=False, soft_wrap=True)
    console.print()
    for what, how_much in resource_plan(run):
        console.print(f"{what:>16}: {how_much}", highlight=False, soft_wrap=True)
    console.print()
    checks = preflight(run)
    for check in checks:
        mark = {True: "[green]ok[/]", False: "[red]missing[/]", None: "[yellow]unknown[/]"}
        console.print(f"{check.name:>16}: {mark[check.passed]} ", end="")
        console.print(check.detail, markup=False, highlight=False, soft_wrap=True)
    failed = [check.name for check in checks if check.passed is False]
    if failed:
        raise MachineError(
            f"This machine is not ready: {', '.join(failed)}. The commands above are valid; "
            "see each line for what to do."
        )
