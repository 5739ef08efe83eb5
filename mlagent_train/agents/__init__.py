"""Whatever can act in an episode, by name: scripted policies, checkpoints, endpoints."""

from mlagent_train.agents.base import Agent, Reply, Sampling, Turn
from mlagent_train.agents.named import make_agent, trained_model

__all__ = ["Agent", "Reply", "Sampling", "Turn", "make_agent", "trained_model"]
