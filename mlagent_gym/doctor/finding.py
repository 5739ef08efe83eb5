"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Status"]


class Status(StrEnum):
    """How it stands with a thing."""

    OK = "ok"
    ABSENT = "absent"
    """Not there, and needed only by some uses."""
    BROKEN = "broken"
    """There but unfit, or needed and not there."""


@dataclass(frozen=True)
class Finding:
    """How it stands with one thing."""

    section: str
    name: str
    status: Status
    value: str
    """What was found."""
    remedy: str = ""
    """What to do; given unless all is well."""
    needed: bool = False
    """Whether the environments cannot be used without it."""
