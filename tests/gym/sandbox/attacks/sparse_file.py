"""Make a file of one terabyte that has no content."""

import os

from breach import breach

os.truncate(os.open("sparse", os.O_CREAT | os.O_RDWR), 1 << 40)
breach("a file of 1 TB")
