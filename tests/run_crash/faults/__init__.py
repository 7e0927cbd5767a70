"""Bad nights: what is on disk is torn, full or somebody else's, a script is unfit, a reboot does not come, the service is away."""

import random

from . import disks, records, scripts, service, starts  # noqa: F401  (each registers its nights)
from .night import NIGHTS

OF_A_SAMPLE = 8


def choose(only, sample, seed):
    """(name, night) of those that are asked for: all, or a sample by seed."""
    names = [name for name in only if ":" not in name]
    for name in set(names) - set(NIGHTS):
        raise SystemExit(f"run-crash: there is no fault {name}; they are in tests/run_crash/faults/")
    found = [(name, NIGHTS[name]) for name in names] or list(NIGHTS.items())
    return random.Random(seed).sample(found, min(OF_A_SAMPLE, len(found))) if sample and not only else found
