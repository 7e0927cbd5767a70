"""`python3 -m tests.crash`: the whole suite, a sample, or single points."""

import argparse
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests import seed, site
from tests.hosts.error import LabError

from . import guest, judge, point, stages
from .order import Result
from .prove import DAMAGES, prove

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
        missed = suite.prove()
        suite.attempt_all(points)
    for line in [*missed, *ordered.violations, *ordered.missed]:
        print(line)
    print(ordered)
    print(f"judge: damages={len(DAMAGES)} caught={len(DAMAGES) - len(missed)}")
    seconds = time.monotonic() - began
    print(f"crash: {seconds:.0f} s, {suite.missed} kills came too late and count for nothing", file=sys.stderr)
    print(f"crash: points={suite.landed} violations={len(suite.report)} seed={args.seed}")
    return 0 if suite.landed and not suite.report and not missed and ordered.holds else 1


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.crash")
    parser.add_argument("--sample", type=int, help="so many points, chosen by the seed, of a run and two of its other ends")
    parser.add_argument("--only", action="append", default=[], metavar="INIT:STAGE:CALL:N", help="this point")
    parser.add_argument("--stage", help="the points of this stage")
    parser.add_argument("--init", choices=("sysv", "systemd"), action="append")
    parser.add_argument("--variant", choices=point.VARIANTS, help="for every point, whatever the seed says")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", default=seed.of_commit())
    parser.add_argument("--verbose", "-v", action="store_true")
    args = parser.parse_args()
    args.init = sorted({text.split(":")[0] for text in args.only}) or args.init or ["sysv", "systemd"]
    return args


class Suite:
    """The points, and what came of them."""

    def __init__(self, lab, the_site, args):
        self.lab, self.site, self.args = lab, the_site, args
        self.stages, self.before = {}, {}
        self.landed = self.missed = 0
        self.report = []

    def choose(self):
        """Record both runs, and choose the points."""
        with ThreadPoolExecutor(self.args.jobs) as pool:
            for kind, recorder in zip(self.args.init, pool.map(self.record, self.args.init)):
                self.stages[kind], self.before[kind] = recorder.stages, recorder.before
        if self.args.only:
            return [point.Point.read(text) for text in self.args.only]
        found = [point.Point(kind, stage.name, *where) for kind, known in self.stages.items() for stage in known.values()
                 for where in stage.points if self.args.stage in (None, stage.name)]
        order = random.Random(self.args.seed)
        order.shuffle(found)
        return found[:self.args.sample]

    def record(self, kind):
        """One init's whole run."""
        recorder = stages.Recorder(self.lab, kind, self.site)
        recorder.record(self.ends(kind))
        return recorder

    def ends(self, kind):
        """Which ends of a run are recorded: all, two for a sample, or what `--only` asks for."""
        known = list(stages.ENDS)
        if self.args.only or self.args.stage:
            asked = {self.args.stage, *(point.Point.read(text).stage for text in self.args.only)}
            return [stage for stage in known if stage in asked]
        return random.Random(f"{self.args.seed}/{kind}").sample(known, 2) if self.args.sample else known

    def order(self):
        """The order of flushes in everything that was recorded."""
        result = Result()
        for kind, known in self.stages.items():
            for stage in known.values():
                result.add(f"{kind}:{stage.name}", stage.trace)
        return result

    def prove(self):
        """The judge finds fault where there is one."""
        kind = self.args.init[0]
        missed = prove(self.lab, kind, self.stages[kind]["patchit-finish"], self.before[kind])
        return [f"the judge does not see: {name}" for name in missed]

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
            with self.lab.host("point", where.kind, self.stages[where.kind][where.stage].layers) as host:
                outcome = point.run(host, where, variant)
                found = list(judge.judge(host, outcome, self.before[where.kind]))
                if found and self.args.verbose:
                    found.append(scene(host, outcome))
        except (LabError, OSError) as error:
            outcome, found = point.Outcome(True, {}), [f"the host failed: {error}"]
        self.landed += outcome.landed
        self.missed += not outcome.landed
        if self.args.verbose:
            print(f"{where} {variant} {time.monotonic() - began:.1f} s {'' if outcome.landed else 'missed'}", flush=True)
        if found:
            again = f"python3 -m tests.crash --seed {self.args.seed} --variant {variant} --only '{where}'"
            self.report.append("\n    ".join([f"violation: {again}", *found]))
            print(self.report[-1], flush=True)


def scene(host, outcome):
    """What a person wants to see of a violation."""
    shown = host.run("head -50 /etc/patchlog* /etc/patchflag /etc/patchdone; ls -la /etc/patch* /var/spool/patch/*; cat "
                     f"{site.WITNESS}; patchit --explain").stdout if host.is_on else ""
    tail = "\n".join(host.trace().splitlines()[-5:])
    return f"{shown}\n{tail}\n{outcome.journal.get('patchlog', '')}\n{str(host.log)[-1500:]}"


if __name__ == "__main__":
    sys.exit(main())
