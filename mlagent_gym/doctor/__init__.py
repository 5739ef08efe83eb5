"""What this machine has of what the project needs, and what to do about the rest."""

from __future__ import annotations

from mlagent_gym.doctor import machine, packages, surroundings
from mlagent_gym.doctor.finding import Finding, Status

__all__ = ["Finding", "Status", "examine"]


def examine() -> list[Finding]:
    """Look at the machine and what is installed; changes nothing and uses no network.

    Returns
    -------
    list of Finding
        In an order to be read, those of one section together.
    """
    return [
        *machine.findings(),
        *surroundings.sandbox(),
        *packages.findings(),
        *surroundings.data_of_tasks(),
        *surroundings.endpoints(),
    ]
