"""A mount namespace of our own: what a suite mounts is seen by none of those that run beside it, nor left behind."""

import os
import sys

MARK = "PATCHFLAG_TEST_APART"


def apart(module):
    """Go on as `python3 -m module` in one, with the arguments of now; the process stays the same one."""
    us = str(os.getpid())
    if os.environ.get(MARK) != us:
        os.environ[MARK] = us
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", module, *sys.argv[1:]])
