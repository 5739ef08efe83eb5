"""Read and spoil another episode."""

from breach import attempt, breach, found, victim

with attempt():
    found(open(victim["other"] + "/work/train.py").read())
with attempt():
    open(victim["other"] + "/work/planted.py", "w").close()
    breach("wrote into another workspace")
