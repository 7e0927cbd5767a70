"""Waiting for something that another process will do."""

import time

from .error import LabError

INTERVAL = 0.02


def wait_for(predicate, timeout, what="the condition"):
    """Ask `predicate` again and again until it is true, and return what it said; too late is an error."""
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout} s in vain for {what}")
        time.sleep(INTERVAL)
