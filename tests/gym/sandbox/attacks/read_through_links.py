"""Make links in the workspace that lead to the labels."""

import os

from breach import attempt, found, victim

os.symlink(victim["labels"], "answers.csv")
os.symlink(os.path.dirname(victim["labels"]), "folder")
with attempt():
    found(open("answers.csv").read())
with attempt():
    found(open("folder/labels.csv").read())
with attempt():
    os.link(victim["labels"], "linked.csv")
    found(open("linked.csv").read())
