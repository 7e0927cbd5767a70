"""Where a call of `patch-lock` can be killed: before each system call that changes something, and before each that talks."""

import random

from tests.crash import trace

TALKS = {"sendto", "recvfrom"}
TRACED = f"{trace.TRACED},{','.join(sorted(TALKS))}"
# Threads and the end of them: nothing outside can be told from these.
QUIET = trace.STARTS | trace.WAITS | {"execve", "flock", "kill", "exit_group"}


def recorder(path, place=None):
    """What is put around a call to record it: all of it, or what it does in one directory."""
    return ["strace", "-f", "-y", "-qq", "-o", path, "-e", f"trace={TRACED}", *(["-P", place] if place else [])]


def killer(path, name, number, place=None):
    """What is put around a call to kill it before its Nth call of this name; the first process or thread that comes to its Nth is
    hit."""
    return [*recorder(path, place), "-e", f"inject={name}:signal=KILL:when={number}"]


def points(path, sample, seed):
    """Of a recording: each place once, in order; of many a sample, which the seed chooses."""
    found = []
    for call in trace.read(path.read_text(errors="replace"))[1]:
        point = call.name, call.number
        if (call.changes and call.name not in QUIET or call.name in TALKS) and point not in found:
            found.append(point)
    if sample is None or sample >= len(found):
        return found
    chosen = random.Random(f"{seed}/{path.name}").sample(found, sample)
    return [point for point in found if point in chosen]


def was_killed(path):
    """Whether the kill fell."""
    return trace.KILLED in path.read_text(errors="replace")
