"""Of a long suite the check runs a sample: the commit chooses it, so that a sample that failed can be had again."""

import os
import subprocess

from tests import site


def of_commit():
    """`PATCHFLAG_SEED`, else the commit's hash."""
    done = subprocess.run(["git", "-C", site.TOP, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    return os.environ.get("PATCHFLAG_SEED") or done.stdout.strip() or "0"
