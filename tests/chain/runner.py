"""Runs the cases: a thread for each init system, its cases one after the other on a host that is made anew when it must be."""

import itertools
import queue
import threading
import time
import traceback
from collections import namedtuple

from .rig import Rig

CASES = []
KINDS = ("sysv", "systemd")
Case = namedtuple("Case", "function kinds")
Outcome = namedtuple("Outcome", "name kind seconds error")


def case(*kinds):
    """Register a case, for these kinds of host or for all."""
    def register(function):
        CASES.append(Case(function, kinds or KINDS))
        return function
    return register


class Worker(threading.Thread):
    """One host at a time, and the cases of its kind."""

    numbers = itertools.count(1)

    def __init__(self, place, kind, cases, outcomes):
        super().__init__(name=f"cases-{kind}", daemon=True)
        self.place, self.kind, self.cases, self.outcomes = place, kind, cases, outcomes
        self.rig = None

    def run(self):
        """Take cases until none is left."""
        while True:
            try:
                function = self.cases.get_nowait()
            except queue.Empty:
                break
            began = time.monotonic()
            error = self.attempt(function)
            self.outcomes.put(Outcome(function.__name__, self.kind, time.monotonic() - began, error))
        self.discard()

    def attempt(self, function):
        """Run a case on a clean host; what went wrong, or nothing."""
        try:
            if self.rig is None or not self.rig.clean():
                self.discard()
                self.rig = Rig(*self.place, f"{self.kind}-{next(self.numbers)}", self.kind)
            function(self.rig)
        except Exception as error:
            words = self.story(error)
            self.discard()
            return words
        return None

    def story(self, error):
        """What a person needs to find the fault: the line of the case, the journal, the end of the console."""
        frames = traceback.extract_tb(error.__traceback__)
        where = next((f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames)
                      if "/chain/" in frame.filename and not frame.filename.endswith(("rig.py", "runner.py"))), "")
        words = [f"{where}: {error}" if str(error) else f"{where}: {error!r}"]
        if self.rig:
            try:
                words += ["its flags: " + " ".join(self.rig.names()), self.rig.log(), *self.rig.dated()[-1:]]
            except Exception as why:
                words.append(f"(no journal: {why})")
            words += str(self.rig.host.log).splitlines()[-12:]
        return "\n    ".join(words)

    def discard(self):
        """Remove the host, if there is one."""
        if self.rig:
            self.rig.stop()
        self.rig = None


def run(place, wanted=(), kinds=KINDS, workers=1):
    """Run every case whose name holds one of the words, on hosts of these kinds, at a place (site and laboratory); the outcomes, as
    they come."""
    outcomes, threads = queue.Queue(), []
    for kind in kinds:
        cases = queue.Queue()
        for entry in CASES:
            if kind in entry.kinds and (not wanted or any(word in entry.function.__name__ for word in wanted)):
                cases.put(entry.function)
        threads += [Worker(place, kind, cases, outcomes) for _ in range(workers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or not outcomes.empty():
        try:
            yield outcomes.get(timeout=0.2)
        except queue.Empty:
            continue
