"""Everything that touches OpenRLHF: its options, its processes, its agent interface."""
