"""`python3 -m tests.crash`: the whole suite, a sample, or single points."""

import argparse
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests import seed, site
from tests.hosts.error import LabError

from . import guest, judge, point, stages
from .order import Result
from .prove import Proof
from .world import World

WORLDS = ("sysv", "systemd", "sysv-lock", "systemd-lock")
# Says something, for what it says has to be on disk before the journal tells its digest.
PROGRAM = site.INSTALL_ONCE + "echo installed\n"


def main():
    """Run, print one line, say by the code whether all held."""
    args = arguments()
    began = time.monotonic()
    with site.Site() as the_site, guest.CrashLab() as lab:
        the_site.script(PROGRAM)
        suite = Suite(lab, the_site, args)
        points = suite.choose()
        ordered = suite.order()
        proof = suite.prove()
        suite.attempt_all(points)
    for line in [*proof.missed, *ordered.violations, *ordered.missed]:
        print(line)
    print(ordered)
    print(proof)
    seconds = time.monotonic() - began
    print(f"crash: {seconds:.0f} s, {suite.tried.total() - suite.hit.total()} kills came too late and count for nothing", file=sys.stderr)
    print(f"crash: points={suite.hit.total()} violations={len(suite.report)} seed={args.seed}")
    return 0 if suite.hits() and not suite.report and not proof.missed and ordered.holds else 1


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.crash")
    parser.add_argument("--sample", type=int, help="so many points, chosen by the seed, of a run and two of its other ends")
    parser.add_argument("--only", action="append", default=[], metavar="WORLD:STAGE:CALL:N", help="this point")
    parser.add_argument("--stage", help="the points of this stage")
    parser.add_argument("--world", choices=WORLDS, action="append", help="this init, with a lock or without")
    parser.add_argument("--variant", choices=point.VARIANTS, help="for every point, whatever the seed says")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", default=seed.of_commit())
    parser.add_argument("--verbose", "-v", action="store_true")
    args = parser.parse_args()
    args.worlds = worlds(args)
    return args


def worlds(args):
    """The worlds that are recorded: what `--only` names, else both inits with a lock and without; of a sample each init once."""
    if args.only:
        return sorted({point.Point.read(text).world for text in args.only})
    if args.world or not args.sample:
        return [World.read(name) for name in args.world or WORLDS]
    turn = random.Random(args.seed).choice((False, True))
    return [World("sysv", turn), World("systemd", not turn)]


class Suite:
    """The points, and what came of them."""

    def __init__(self, lab, the_site, args):
        self.lab, self.site, self.args = lab, the_site, args
        self.stages, self.before = {}, {}
        self.tried, self.hit = Counter(), Counter()
        self.report = []

    def choose(self):
        """Record both runs, and choose the points."""
        with ThreadPoolExecutor(self.args.jobs) as pool:
            recorders = dict(zip(self.args.worlds, pool.map(self.record, self.args.worlds)))
        for world, recorder in recorders.items():
            self.stages[world], self.before[world] = recorder.stages, recorder.before
        if self.args.only:
            return [point.Point.read(text) for text in self.args.only]
        found = [point.Point(world, *where) for world, recorder in recorders.items() for where in recorder.points()
                 if self.args.stage in (None, where[0])]
        random.Random(self.args.seed).shuffle(found)
        if self.args.sample:
            # A third of them about locks, though those are fewer.
            locks = [where for where in found if where.world.locks]
            plain = [where for where in found if not where.world.locks]
            third = self.args.sample // 3
            found = locks[:third] + plain + locks[third:]
        return found[:self.args.sample]

    def record(self, world):
        """One world's whole run."""
        recorder = stages.Recorder(self.lab, world, self.site)
        recorder.record(self.ends(world))
        return recorder

    def ends(self, world):
        """Which ends of a run are recorded: all, two for a sample, or what `--only` asks for."""
        known = list(stages.ENDS_WITH_LOCKS if world.locks else stages.ENDS)
        if self.args.only or self.args.stage:
            asked = {self.args.stage, *(point.Point.read(text).stage for text in self.args.only)}
            return [stage for stage in known if asked & {stage, stages.SECOND.get(stage)}]
        return random.Random(f"{self.args.seed}/{world}").sample(known, 2) if self.args.sample else known

    def order(self):
        """The order of flushes in everything that was recorded."""
        result = Result()
        for world, known in self.stages.items():
            for stage in known.values():
                result.add(f"{world}:{stage.name}", stage.trace)
        return result

    def prove(self):
        """The judge finds fault where there is one."""
        world = max(self.args.worlds, key=lambda world: world.locks)
        return Proof(self.lab, world, self.stages[world]["patchit-finish"], self.before[world])

    def hits(self):
        """Kills land: of the tools themselves, and of their children. One that comes too late is bad luck, all are a bad plan."""
        vain = [mode for mode, times in self.tried.items() if times > 2 and not self.hit[mode]]
        for mode in vain:
            print(f"{self.tried[mode]} kills of a {mode}, and none has landed: this shows nothing")
        return self.hit.total() > 0 and not vain

    def attempt_all(self, points):
        """All points, several at once; Ctrl-C does not wait for those that have not begun."""
        with ThreadPoolExecutor(self.args.jobs) as pool:
            try:
                list(pool.map(self.attempt, points))
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def attempt(self, where):
        """One point."""
        variant = self.args.variant or where.variant(self.args.seed)
        began = time.monotonic()
        try:
            with self.lab.host("point", where.world.kind, self.stages[where.world][where.stage].layers) as host:
                outcome = point.run(host, where, variant)
                found = list(judge.judge(host, outcome, self.before[where.world]))
                if found and self.args.verbose:
                    found.append(scene(host, outcome))
        except (LabError, OSError) as error:
            outcome, found = point.Outcome(True, {}), [f"the host failed: {error}"]
        self.tried[where.mode] += 1
        self.hit[where.mode] += outcome.landed
        if self.args.verbose:
            print(f"{where} {variant} {time.monotonic() - began:.1f} s {'' if outcome.landed else 'missed'}", flush=True)
        if found:
            again = f"python3 -m tests.crash --seed {self.args.seed} --variant {variant} --only '{where}'"
            self.report.append("\n    ".join([f"violation: {again}", *found]))
            print(self.report[-1], flush=True)


def scene(host, outcome):
    """What a person wants to see of a violation."""
    shown = host.run("head -50 /etc/patchlog* /etc/patchflag /etc/patchdone; ls -la /etc/patch* /var/spool/patch/*; cat "
                     f"{site.WITNESS}; patchit --explain; patch-lock history").stdout if host.is_on else ""
    tail = "\n".join(host.trace().splitlines()[-5:])
    return f"{shown}\n{tail}\n{outcome.journal.get('patchlog', '')}\n{str(host.log)[-1500:]}"


if __name__ == "__main__":
    sys.exit(main())
