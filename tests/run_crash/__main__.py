"""See the package."""

import argparse
import itertools
import random
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests import seed
from tests.apart import apart
from tests.crash.order import Result
from tests.hosts.error import LabError
from tests.lock_proof.daemon import PORT, Lockd

from . import faults, judge, point, prove, scenes
from .host import DIALECTS, Host
from .relay import Relay

SCENES_OF_A_SAMPLE = 4


def main():
    """Run, print what is wrong and a line for each part, say by the code whether all held."""
    args = arguments()
    # Whoever ends this ends its hosts.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="run-crash-") as folder:
        place = Path(folder) / "lockd"
        place.mkdir()
        with Lockd(place) as lockd:
            if not lockd.start():
                sys.exit(f"cannot start patch-lockd: {lockd.said()}")
            suite = Suite(Path(folder), f"{lockd.address}:{PORT}", args)
            if "kills" in args.part:
                suite.kills()
            if "faults" in args.part:
                suite.faults()
    print(f"run-crash: {time.monotonic() - began:.0f} s, {suite.missed} kills came too late and count for nothing", file=sys.stderr)
    print(f"run-crash: points={suite.landed} faults={suite.nights} violations={len(suite.found)} seed={args.seed}")
    return 1 if suite.found or not suite.landed + suite.nights else 0


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.run_crash")
    parser.add_argument("--sample", type=int, metavar="N", help="N kills of a few scenes, and the quick faults")
    parser.add_argument("--part", action="append", choices=("kills", "faults"))
    parser.add_argument("--only", action="append", default=[], metavar="POINT", help="this point, or this fault")
    parser.add_argument("--scene", action="append", choices=scenes.SCENES)
    parser.add_argument("--dialect", action="append", choices=DIALECTS)
    parser.add_argument("--variant", choices=("ticks", "boot"), help="for every kill, whatever the seed says")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", default=seed.of_commit())
    parser.add_argument("--verbose", "-v", action="store_true")
    args = parser.parse_args()
    args.part = args.part or ["kills", "faults"]
    if args.only:
        args.part = sorted({"kills" if ":" in name else "faults" for name in args.only})
    return args


class Suite:
    """The parts, and what came of them."""

    def __init__(self, folder, service, args):
        self.folder, self.service, self.args = folder, service, args
        self.numbers = itertools.count()
        self.landed = self.missed = self.nights = 0
        self.found = []

    @contextmanager
    def host(self, dialect):
        """A new host with a lock of its own."""
        name = f"h{next(self.numbers)}"
        with Relay(self.service) as relay, Host(self.folder / name, f"{name}.crash.example", dialect, relay) as host:
            yield host

    def fault(self, words):
        """Something is wrong."""
        self.found.append(words)
        print(words, flush=True)

    def kills(self):
        """Record the scenes, check the order of what was recorded, prove the judge, kill."""
        recordings = self.record()
        ordered = Result()
        for (dialect, name), recording in recordings.items():
            ordered.add(f"{dialect}:{name}", recording.text, recording.ground)
        for words in [*ordered.violations, *ordered.missed]:
            self.fault(words)
        print(ordered)
        with self.host("ours") as host:
            damages, missed = prove.prove(host)
        for name in missed:
            self.fault(f"the judge does not see: {name}")
        print(f"judge: damages={damages} caught={damages - len(missed)}", flush=True)
        chosen = self.choose(recordings)
        if self.args.verbose:
            print(f"kills: {len(chosen)}", flush=True)
        with ThreadPoolExecutor(self.args.jobs) as pool:
            try:
                list(pool.map(lambda one: self.attempt(*one), chosen))
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def record(self):
        """What is to be killed."""
        wanted = [(dialect, name) for dialect in self.args.dialect or DIALECTS for name in self.args.scene or scenes.SCENES]
        if self.args.only:
            wanted = sorted({(read.dialect, read.scene) for read in map(point.Point.read, self.args.only)})
        elif self.args.sample:
            wanted = random.Random(self.args.seed).sample(wanted, min(SCENES_OF_A_SAMPLE, len(wanted)))
        return {where: self.recording(*where) for where in wanted}

    def recording(self, dialect, name):
        """One scene, recorded."""
        with self.host(dialect) as host:
            return scenes.record(scenes.SCENES[name], host)

    def choose(self, recordings):
        """(point, variant) of what is to be done."""
        found = []
        for (dialect, name), recording in recordings.items():
            found += [point.Point(dialect, name, call, str(number)) for call, number in recording.calls]
            found += [point.Point(dialect, name, how, script) for how in point.HOW for script in sorted(set(recording.scripts))]
        if self.args.only:
            found = list(map(point.Point.read, self.args.only))
        random.Random(self.args.seed).shuffle(found)
        return [(where, self.args.variant or where.variant(self.args.seed)) for where in found[:self.args.sample]]

    def attempt(self, where, variant):
        """One point."""
        began = time.monotonic()
        try:
            with self.host(where.dialect) as host:
                outcome = point.run(host, scenes.SCENES[where.scene], where, variant)
                wrong = list(judge.judge(outcome))
                scene = shown(host) if wrong and self.args.verbose else []
        except (LabError, OSError, RuntimeError) as error:
            outcome, wrong, scene = point.Outcome(None, where.what, True), [f"the host failed: {error}"], []
        self.landed += outcome.landed
        self.missed += not outcome.landed
        if self.args.verbose:
            print(f"{where} {variant} {time.monotonic() - began:.1f} s {'' if outcome.landed else 'missed'}", flush=True)
        if wrong:
            again = f"python3 -m tests.run_crash --seed {self.args.seed} --variant {variant} --only '{where}'"
            self.fault("\n    ".join([f"violation: {again}", *wrong, *scene]))

    def faults(self):
        """The bad nights."""
        for name, night in faults.choose(self.args.only, self.args.sample, self.args.seed):
            began = time.monotonic()
            for dialect in self.args.dialect or night.dialects:
                self.nights += 1
                try:
                    with self.host(dialect) as host:
                        night.run(host)
                except (AssertionError, LabError, OSError) as error:
                    self.fault(f"violation: python3 -m tests.run_crash --only {name} --dialect {dialect}: {error}")
            if self.args.verbose:
                print(f"{name} {time.monotonic() - began:.1f} s", flush=True)


def shown(host):
    """What a person wants to see of a violation."""
    return [f"{line.word} {line.script} {line.pid} {line.boot[:4]} {line.rest}" for line in host.lines()] + [
        f"{asked.method} {asked.path} {asked.status}" for asked in host.relay.asked] + host.log().splitlines() + [host.record()]


if __name__ == "__main__":
    apart("tests.run_crash")
    sys.exit(main())
