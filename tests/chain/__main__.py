"""`python3 -m tests.chain [--kind KIND] [--workers N] [WORD…]`: every case, or those whose names hold a word."""

import sys

from . import calledoff, driver, hatch, live, locks, orders, quiet, stages, status, whole  # noqa: F401  (each registers its cases)
from . import rig, runner

if __name__ == "__main__":
    sys.exit(runner.main("chain", lambda site: site.script(rig.INSTALL)))
