"""``python -m mlagent_gym`` is the ``mlagent`` command."""

from mlagent_gym.cli import app

app()
