"""The knobs of a script: its constants ``NAME = value``, as the tiny prompt lists them."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Knob", "find_knobs", "listed", "pointer", "shown_knobs"]

_SHOWN = re.compile(r"^- (.*?)(?:\s+#.*)? \d+\) ([A-Z][A-Z0-9_]*)$", re.MULTILINE)
_LINE = re.compile(r"^([A-Z][A-Z0-9_]*) = (\S.*?)(\s*#.*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Knob:
    """One constant."""

    name: str
    text: str
    """Its value as the script writes it."""

    @property
    def value(self) -> object:
        """Its value; ``...`` for what is no literal."""
        try:
            value: object = ast.literal_eval(self.text)
        except (ValueError, SyntaxError):
            return ...
        return value

    @property
    def line(self) -> str:
        """The line of the script."""
        return f"{self.name} = {self.text}"


def find_knobs(text: str, but: Sequence[str] = ("SEED", "VALIDATION_SHARE")) -> list[Knob]:
    """Return the knobs of a script, in order, without those named in `but`."""
    knobs = (Knob(found[1], found[2]) for found in _LINE.finditer(text))
    return [knob for knob in knobs if knob.name not in but]


def pointer(knob: Knob, number: int) -> str:
    """Return how prompts and replies point at a knob: ``False 3) CLIP``."""
    return f"{knob.text} {number}) {knob.name}"


def listed(knobs: Sequence[Knob]) -> str:
    """Return a prompt's list of knobs."""
    return "\n".join(f"- {pointer(knob, i)}" for i, knob in enumerate(knobs, 1))


def shown_knobs(prompt: str) -> list[Knob]:
    """Return the knobs that a prompt lists, in order."""
    return [Knob(found[2], found[1]) for found in _SHOWN.finditer(prompt)]
