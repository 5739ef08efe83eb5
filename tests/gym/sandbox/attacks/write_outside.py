"""Write outside the workspace."""

import os
import sysconfig

from breach import attempt, breach, victim

for folder in (victim["other"], os.path.dirname(victim["labels"]), victim["home"]):
    with attempt():
        open(os.path.join(folder, "planted"), "w").close()
        breach(f"wrote into {folder}")
for path in ("/usr/lib/planted", "/etc/planted", "/planted", "/var/tmp/planted-by-test"):
    with attempt():
        open(path, "w").close()
        breach(f"wrote {path}")
        os.remove(path)

with attempt():
    path = sysconfig.get_paths()["purelib"] + "/planted_by_test.pth"
    open(path, "w").close()
    breach(f"wrote {path}")
    os.remove(path)
