"""Import our code, to make the answers again from the seed."""

import sys

from breach import attempt, breach, found, victim

sys.path.insert(0, victim["project"])
with attempt():
    import mlagent_gym.tasks

    breach(mlagent_gym.tasks.__file__)
with attempt():
    import glob

    for path in glob.glob(victim["project"] + "/task_assets/*/prepare.py"):
        found(open(path).read() and victim["word"])
