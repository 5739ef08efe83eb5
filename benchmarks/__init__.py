"""Policies on the tasks of the paper, and how fast everything is."""
