"""``python -m mlagent_gym`` is the ``mlagent`` command."""

from mlagent_gym.cli import app

app(prog_name="mlagent")  # as the console script says
