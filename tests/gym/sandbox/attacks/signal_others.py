"""Signal, stop, slow down or limit other processes."""

import os
import resource

from breach import attempt, breach, victim

for pid in (victim["target"], victim["pid"]):
    with attempt():
        os.kill(pid, 0)
        breach(f"may signal {pid}")
with attempt():
    resource.prlimit(victim["target"], resource.RLIMIT_NOFILE, (64, 64))
    breach("prlimit")
with attempt():
    os.sched_setaffinity(victim["target"], {0})
    breach("affinity")
with attempt():
    os.setpriority(os.PRIO_PROCESS, victim["target"], 15)
    breach("priority")
with attempt():
    open(f"/proc/{victim['target']}/oom_score_adj", "w").write("900")
    breach("oom_score_adj")
