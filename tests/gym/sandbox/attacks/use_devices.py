"""Open or make device files."""

import glob
import os
import stat

from breach import attempt, breach

for number in ((1, 1), (254, 0), (8, 0)):
    with attempt():
        os.mknod("device", 0o600 | stat.S_IFBLK, os.makedev(*number))
        breach(f"made block device {number}")
        os.remove("device")
for path in ("/dev/mem", "/dev/kmsg", *glob.glob("/dev/[svx][dr]*"), *glob.glob("/dev/nvme*")):
    with attempt():
        os.open(path, os.O_RDONLY)
        breach(f"opened {path}")
