"""`python3 -m tests.chain [--kind KIND] [--workers N] [WORD…]`: every case, or those whose names hold a word."""

import argparse
import sys
import time

from tests import site as sites
from tests.hosts.lab import Lab

from . import calledoff, hatch, live, orders, quiet, stages, status, whole  # noqa: F401  (each registers its cases)
from . import rig, runner


def main():
    """Run the cases; 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.chain", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--kind", choices=runner.KINDS, action="append")
    parser.add_argument("--workers", type=int, default=2, help="hosts of each kind at a time")
    options = parser.parse_args()
    began, failed, passed = time.monotonic(), 0, 0
    with sites.Site() as site, Lab() as lab:
        site.script(rig.INSTALL)
        for outcome in runner.run((site, lab), options.words, options.kind or runner.KINDS, options.workers):
            mark = "ok  " if outcome.error is None else "FAIL"
            print(f"{mark} {outcome.kind:8}{outcome.seconds:5.1f} s  {outcome.name.replace('_', ' ')}", flush=True)
            if outcome.error:
                print(f"    {outcome.error}", flush=True)
            passed, failed = passed + (outcome.error is None), failed + (outcome.error is not None)
    print(f"chain: {passed} passed, {failed} failed in {time.monotonic() - began:.0f} s")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
