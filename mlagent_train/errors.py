"""What can go wrong while training, beside what the environment already names.

::

    MLAgentError
    ├── CollapseError              the policy fell apart in training, which was stopped
    ├── UsageError
    │   └── ConfigError            (mlagent_gym) a key or value of the configuration
    └── MachineError
        ├── TrainerVersionError    a package is missing or not the version that is known
        ├── StageError             a stage's child process failed; its log says why
        │   └── BudgetError        a limit of cost or tokens is reached before the end
        └── TooManyFaultsError     environments fail too often to learn from
"""

from __future__ import annotations

from mlagent_gym import (
    ConfigError,
    DataError,
    DiskFullError,
    EndpointError,
    MachineError,
    MLAgentError,
    UsageError,
)

__all__ = [
    "CollapseError",
    "ConfigError",
    "DataError",
    "DiskFullError",
    "EndpointError",
    "MLAgentError",
    "MachineError",
    "StageError",
    "TooManyFaultsError",
    "TrainerVersionError",
    "UsageError",
]


class CollapseError(MLAgentError):
    """Training was stopped by the floors of ``collapse``; the best checkpoint is kept."""


class TrainerVersionError(MachineError):
    """A package of the trainer is missing or is not the version this code was written for."""


class StageError(MachineError):
    """A stage ended without its result; the message names the log."""


class BudgetError(StageError):
    """A stage stopped at a limit that the configuration sets; what was finished is kept."""


class TooManyFaultsError(MachineError):
    """The share of environment steps lost to machine faults is above its limit."""
