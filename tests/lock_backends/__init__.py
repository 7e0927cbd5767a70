"""`patch-lock` with the lock services that are not ours: an etcd of three real members, and a directory that hosts share.

Everything happens in a laboratory of its own: each member and each host has a network namespace on a bridge, each host a root below
which `patch-lock` finds its configuration, its machine id and its memory. What the members are spared: nothing; they flush.
"""
