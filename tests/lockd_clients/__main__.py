"""`python3 -m tests.lockd_clients [WORD…]`: every case, or those whose names hold a word; one line at the end."""

import signal
import sys
import time

from tests.hosts.error import LabError
from tests.hosts.guard import Guard

from .cases import CASES
from .stage import Stage
from .updaters import say, scratch


def main(words):
    """Run the cases, each with a line; the exit code."""
    failed = 0
    # What is ended from outside cleans up as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Guard(), scratch() as folder, Stage(folder) as stage:
        for case in CASES:
            if words and not any(word in case.__name__ for word in words):
                continue
            began = time.monotonic()
            try:
                case(stage)
                verdict = "ok"
            except Exception as error:  # noqa: BLE001  (one case that goes wrong in any way leaves the others alone)
                failed += 1
                verdict = f"FAILED: {error if isinstance(error, LabError) else repr(error)}"
            say(f"{time.monotonic() - began:6.1f} s  {case.__name__.replace('_', ' ')}: {verdict}")
        counts = f"runs={stage.runs} clients={len(stage.clients)} overlap={stage.overlap}"
        failed += stage.overlap
    print(f"lock-clients: {counts}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
