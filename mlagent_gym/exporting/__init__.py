"""Recordings taken elsewhere: the best script, a notebook that tells the episode, chats."""

from mlagent_gym.exporting.best import Best, best_of, episode_of, store_of
from mlagent_gym.exporting.chats import chats
from mlagent_gym.exporting.notebook import notebook

__all__ = ["Best", "best_of", "chats", "episode_of", "notebook", "store_of"]
