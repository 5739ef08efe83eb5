"""Collect, fine-tune and train ML agents with OpenRLHF on the environments of ``mlagent_gym``."""
