"""Read the labels where they are."""

from breach import attempt, found, victim

with attempt():
    found(open(victim["labels"]).read())
with attempt():
    found(open("/proc/self/root" + victim["labels"]).read())
with attempt():
    found(open("/proc/1/root" + victim["labels"]).read())
