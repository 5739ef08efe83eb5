"""Errors of this project end a command with their message, not with a traceback."""

from __future__ import annotations

import sys
from typing import Any

import typer.core

from mlagent_gym.errors import MLAgentError, UsageError

__all__ = ["Group"]


class Group(typer.core.TyperGroup):
    """The group of all commands: exit status 2 for wrong use, 1 for any other failure."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except MLAgentError as error:
            print(f"Error: {error}", file=sys.stderr)
            raise typer.Exit(2 if isinstance(error, UsageError) else 1) from error
