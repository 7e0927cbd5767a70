"""`python3 -m tests.faults [--kind KIND] [--workers N] [WORD…]`: every case, or those whose names hold a word."""

import sys

from tests.chain import runner

from . import clock, disks, flags, installer, locks, relay, server, services, shutdown  # noqa: F401  (each registers its cases)
from . import patient

if __name__ == "__main__":
    sys.exit(runner.main("faults", patient.publish, patient.Patient))
