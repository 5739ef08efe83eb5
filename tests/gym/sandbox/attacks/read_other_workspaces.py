"""Read and spoil another episode."""

from pathlib import Path

from breach import attempt, breach, found, victim

other = Path(victim["other"]) / "work"

with attempt():
    found((other / "train.py").read_text())
with attempt():
    (other / "planted.py").write_text("")
    breach("wrote into another workspace")
