"""Running scripts nobody has read: confined, limited, accounted for, and fast to start."""

from __future__ import annotations

from mlagent_gym.sandbox.cache import CachingExecutor
from mlagent_gym.sandbox.choice import EXECUTORS, make_executor
from mlagent_gym.sandbox.executor import SandboxExecutor

__all__ = ["EXECUTORS", "CachingExecutor", "SandboxExecutor", "make_executor"]
