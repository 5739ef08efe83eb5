"""Text-action Gymnasium environments for agents that do machine-learning engineering.

Importing this package registers one environment for each task,
``gymnasium.make("MLAgent/<task>-v0")``.
"""

from __future__ import annotations

import gymnasium as _gym

from mlagent_gym.actions import ACTIONS, parse, render
from mlagent_gym.data import Prepared, cache_root, prepared_variants, synthetic
from mlagent_gym.endpoint import Completion, EndpointConfig, complete
from mlagent_gym.env import MLAgentEnv
from mlagent_gym.episode import Resources
from mlagent_gym.errors import (
    ConfigError,
    DataError,
    DiskFullError,
    EndpointError,
    MachineError,
    MLAgentError,
    RecordError,
    StateError,
    StoreError,
    TaskError,
    UnknownTaskError,
    UsageError,
)
from mlagent_gym.executor import Executor, FakeExecutor, Limits, Run, RunStatus
from mlagent_gym.info import INFO_KEYS
from mlagent_gym.policies import IdeaBankExpert, NoOp, Policy, RandomAction
from mlagent_gym.pool import StatePool, build_pool
from mlagent_gym.recording import RecordEpisode, resume
from mlagent_gym.records import Record, append_record, read_records
from mlagent_gym.rewards import Outcome, RewardConfig
from mlagent_gym.sandbox import make_executor
from mlagent_gym.spaces import FreeText
from mlagent_gym.state import Exchange, State
from mlagent_gym.store import Store
from mlagent_gym.tasks import Edit, Idea, Task, load_ideas, load_task, task_ids

__all__ = [
    "ACTIONS",
    "INFO_KEYS",
    "Completion",
    "ConfigError",
    "DataError",
    "DiskFullError",
    "Edit",
    "EndpointConfig",
    "EndpointError",
    "Exchange",
    "Executor",
    "FakeExecutor",
    "FreeText",
    "Idea",
    "IdeaBankExpert",
    "Limits",
    "MLAgentEnv",
    "MLAgentError",
    "MachineError",
    "NoOp",
    "Outcome",
    "Policy",
    "Prepared",
    "RandomAction",
    "Record",
    "RecordEpisode",
    "RecordError",
    "Resources",
    "RewardConfig",
    "Run",
    "RunStatus",
    "State",
    "StateError",
    "StatePool",
    "Store",
    "StoreError",
    "Task",
    "TaskError",
    "UnknownTaskError",
    "UsageError",
    "append_record",
    "build_pool",
    "cache_root",
    "complete",
    "load_ideas",
    "load_task",
    "make_executor",
    "parse",
    "prepared_variants",
    "read_records",
    "render",
    "resume",
    "synthetic",
    "task_ids",
]

for _task_id in task_ids():
    _gym.register(
        id=f"MLAgent/{_task_id}-v0",
        entry_point="mlagent_gym.env:MLAgentEnv",
        kwargs={"task_id": _task_id},
    )
del _task_id
