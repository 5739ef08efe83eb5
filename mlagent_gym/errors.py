"""Everything that can go wrong, as one tree, split by whose fault it is.

What the agent does wrong is data (an action, a feedback, a reward); the two
exceptions marked *agent* never leave ``step``. The others say what to do next.

::

    MLAgentError
    ├── UsageError                caller: an argument or option that cannot be used
    │   ├── UnknownTaskError
    │   └── ConfigError
    ├── TaskError                 author of a task: its folder breaks the contract
    ├── DataError                 data: not what the task needs
    │   ├── DataMissingError
    │   └── DataCorruptError
    ├── StateError                state: cannot be continued from here
    │   ├── StateCorruptError
    │   ├── StateMismatchError
    │   └── StateVersionError
    ├── StoreError                store: a stored file is gone or damaged
    │   ├── BlobMissingError
    │   └── BlobCorruptError
    ├── RecordError               recording: cannot be read or written
    ├── EndpointError             endpoint: a language model did not answer; ends no episode
    ├── MachineError              machine: never becomes a reward
    │   ├── SandboxError
    │   ├── CapacityError
    │   ├── MissingPackageError
    │   └── DiskFullError
    ├── WorkspaceError            agent: a path or file that must not be touched
    └── SubmissionError           agent: a submission that cannot be graded
"""

from __future__ import annotations

__all__ = [
    "BlobCorruptError",
    "BlobMissingError",
    "CapacityError",
    "ConfigError",
    "DataCorruptError",
    "DataError",
    "DataMissingError",
    "DiskFullError",
    "EndpointError",
    "MLAgentError",
    "MachineError",
    "MissingPackageError",
    "RecordError",
    "SandboxError",
    "StateCorruptError",
    "StateError",
    "StateMismatchError",
    "StateVersionError",
    "StoreError",
    "SubmissionError",
    "TaskError",
    "UnknownTaskError",
    "UsageError",
    "WorkspaceError",
]


class MLAgentError(Exception):
    """Root of every error this project raises on purpose."""


class UsageError(MLAgentError, ValueError):
    """The caller passed something that cannot be used."""


class UnknownTaskError(UsageError):
    """No task folder has this name."""


class ConfigError(UsageError):
    """A configuration key or value is wrong."""


class TaskError(MLAgentError):
    """A task folder breaks the contract of task folders."""


class DataError(MLAgentError):
    """A task's data are not what the task needs."""


class DataMissingError(DataError):
    """Data were not prepared, or a raw file is not there."""


class DataCorruptError(DataError):
    """A data file differs from what it must be."""


class StateError(MLAgentError):
    """A state cannot be continued."""


class StateCorruptError(StateError):
    """A state's text is not a state."""


class StateMismatchError(StateError):
    """A state belongs to another task, variant or data."""


class StateVersionError(StateError):
    """A state was written by a newer version of the project."""


class StoreError(MLAgentError):
    """The store cannot give back what was put in."""


class BlobMissingError(StoreError):
    """No blob with this digest is in the store."""


class BlobCorruptError(StoreError):
    """A blob's content no longer has its digest."""


class RecordError(MLAgentError):
    """A recording cannot be read or written."""


class EndpointError(MLAgentError):
    """A language model's endpoint did not give an answer that can be used."""


class MachineError(MLAgentError):
    """The machine failed, not the agent: the step must not be learned from."""


class SandboxError(MachineError):
    """A script could not be run as promised."""


class CapacityError(MachineError):
    """A run asks for more than the machine has."""


class MissingPackageError(MachineError):
    """A task's own scripts need a package that is not installed."""


class DiskFullError(MachineError):
    """There is no room left to work in."""


class WorkspaceError(MLAgentError):
    """The agent named a path it may not touch; the message is its feedback."""


class SubmissionError(MLAgentError):
    """A submission cannot be graded; the message is the reason."""
