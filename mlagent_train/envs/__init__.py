"""Environment steps in worker processes: one step, one worker, the pool of them."""
