"""What OpenRLHF needs to run on a machine without CUDA; unused where there is a GPU."""
