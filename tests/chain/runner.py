"""Runs the cases: a thread for each init system, its cases one after the other on a host that is made anew when it must be."""

import argparse
import functools
import itertools
import queue
import random
import threading
import time
import traceback
from collections import namedtuple

from tests import seed
from tests import site as sites
from tests.hosts.lab import Lab

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

    def __init__(self, make, kind, cases, outcomes):
        super().__init__(name=f"cases-{kind}", daemon=True)
        self.make, self.kind, self.cases, self.outcomes = make, kind, cases, outcomes
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
                self.rig = self.make(f"{self.kind}-{next(self.numbers)}", self.kind)
            function(self.rig)
        except Exception as error:
            words = self.story(error, function.__code__.co_filename)
            self.discard()
            return words
        return None

    def story(self, error, file):
        """What a person needs to find the fault: the line of the case, the journal, the end of the console."""
        frames = traceback.extract_tb(error.__traceback__)
        where = next((f"{file.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames) if frame.filename == file), "")
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


def choose(wanted, kinds):
    """The cases whose names hold one of the words, with each kind of host that they are for."""
    return [(entry.function, kind) for entry in CASES for kind in kinds
            if kind in entry.kinds and (not wanted or any(word in entry.function.__name__ for word in wanted))]


def run(make, chosen, workers=1):
    """Run these cases on hosts made by `make(name, kind)`; the outcomes, as they come."""
    outcomes, threads = queue.Queue(), []
    for kind in sorted({kind for _, kind in chosen}):
        cases = queue.Queue()
        for function, its_kind in chosen:
            if its_kind == kind:
                cases.put(function)
        threads += [Worker(make, kind, cases, outcomes) for _ in range(workers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or not outcomes.empty():
        try:
            yield outcomes.get(timeout=0.2)
        except queue.Empty:
            continue


def main(suite, publish, rig=Rig):
    """The program of a suite: run its cases on hosts of a site where `publish` has published a cluster; 1 if one failed."""
    parser = argparse.ArgumentParser(prog=f"python3 -m tests.{suite}", description="Every case, or those whose names hold a word.")
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--workers", type=int, default=2, help="hosts of each kind at a time")
    parser.add_argument("--sample", type=int, metavar="N", help="so many of them, chosen by the commit")
    options = parser.parse_args()
    began, failed, passed = time.monotonic(), 0, 0
    chosen = all_of_them = choose(options.words, options.kind or KINDS)
    if options.sample and options.sample < len(chosen):
        chosen = random.Random(seed.of_commit()).sample(chosen, options.sample)
    with sites.Site() as site, Lab() as lab:
        publish(site)
        make = functools.partial(rig, site, lab)
        for outcome in run(make, chosen, options.workers):
            mark = "ok  " if outcome.error is None else "FAIL"
            print(f"{mark} {outcome.kind:8}{outcome.seconds:5.1f} s  {outcome.name.replace('_', ' ')}", flush=True)
            if outcome.error:
                print(f"    {outcome.error}", flush=True)
            passed, failed = passed + (outcome.error is None), failed + (outcome.error is not None)
    sample = f" of {len(all_of_them)}, seed={seed.of_commit()}," if len(chosen) < len(all_of_them) else ""
    print(f"{suite}: {passed} passed, {failed} failed{sample} in {time.monotonic() - began:.0f} s")
    return 1 if failed or not passed else 0
