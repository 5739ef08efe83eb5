"""Write endless output, in one line, with escapes."""

import sys

from breach import breach

for _ in range(64):
    sys.stdout.buffer.write(b"\x1b[2J\xff" * (1 << 19))
    sys.stdout.flush()
    sys.stderr.buffer.write(b"x" * (1 << 19))
sys.stderr.flush()
print()
breach("100 MB of output")
