"""The crash suite: every tool killed at every system call that changes something, on hosts with their own init."""
