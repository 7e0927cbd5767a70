"""A program of tests that runs below a guard; the machine being as it was counts as one of them."""

import os
import sys
import tempfile
import time
import unittest
from pathlib import Path

from . import guard
from .error import LabError

# In the environment of the guarded half of the program: the file that it leaves its counts in.
GUARDED = "PATCHFLAG_TEST_COUNTS"


def main(module, label):
    """Run the tests of a module that was started with -m, and print their time and counts; the exit code."""
    start = time.monotonic()
    if os.environ.get(GUARDED):
        program = unittest.main(module=module, exit=False, verbosity=2)
        broken = len(program.result.failures) + len(program.result.errors)
        Path(os.environ[GUARDED]).write_text(f"{program.result.testsRun - broken} {broken}")
        return 0
    with tempfile.NamedTemporaryFile("r") as counts:
        os.environ[GUARDED] = counts.name
        walls = 0
        try:
            guard.run([sys.executable, "-m", sys.modules[module].__spec__.name, *sys.argv[1:]])
        except LabError as error:
            print(error, file=sys.stderr)
            walls = 1
        passed, failed = (int(word) for word in (counts.read() or "0 1").split())
    print(f"{label}: {time.monotonic() - start:.1f} s")
    print(f"{passed + 1 - walls} passed, {failed + walls} failed")
    return 1 if failed + walls else 0
