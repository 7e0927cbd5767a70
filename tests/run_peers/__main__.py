"""See the package: `python3 -m tests.run_peers [--only WORD] [--sample N] [--list] [--differences] [--facts] [--fresh]`."""

import argparse
import concurrent.futures
import datetime
import random
import re
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests import seed
from tests.hosts.error import LabError
from tests.hosts.guard import Guard
from tests.lockd_clients.updaters import say, scratch

from . import pages, reading
from .compare import FACETS, judge
from .side import Side
from .stage import Stage, tools
from .table import CASES, FILES

# More than there are processors: much of a scenario is waiting.
AT_ONCE = 4
# Of a sample, one run of so many is that of the original too, whatever is known of it.
AFRESH = 20


@dataclass
class Verdict:
    """What came of one scenario and one client."""

    name: str
    differs: bool
    faults: list
    theirs: object = None


def pairs(words):
    """(case, kind) of all that is wanted."""
    names = [case.name for case in CASES]
    twice = {name for name in names if names.count(name) > 1 and
             len(kinds := "".join(case.kinds for case in CASES if case.name == name)) != len(set(kinds))}
    if twice:
        raise LabError(f"two scenarios of one name for one client: {', '.join(sorted(twice))}")
    return [(case, kind) for case in CASES for kind in case.kinds if not words or any(word in case.name for word in words)]


def sample(wanted, number, chosen_by):
    """Some scenarios of each file of the table, as many in all as is asked for, and which of them the originals run afresh."""
    dice = random.Random(chosen_by)
    names = set()
    for file in FILES:
        here = sorted({case.name for case in file.CASES})
        names.update(dice.sample(here, min(len(here), max(1, number * len(here) // len({case.name for case in CASES})))))
    taken = [pair for pair in wanted if pair[0].name in names]
    return taken, set(dice.sample([(case.name, kind) for case, kind in taken], len(taken) // AFRESH))


def compare(stage, case, kind):
    """Both sides of a scenario; once more if the day has changed in the middle."""
    while True:
        day = datetime.date.today()
        verdict = attempt(stage, case, kind, f"{case.name}-{kind}-{day.day}")
        if day == datetime.date.today():
            return verdict


def attempt(stage, case, kind, folder):
    """Both sides of a scenario."""
    began = time.monotonic()
    outcomes = []
    try:
        kept = stage.facts.get(case, kind)
        outcomes.append(kept or original(stage, case, kind, folder))
        if stage.built:
            outcomes.append(outcome(stage, case, kind, True, folder))
        faults = judge(case, kind, *outcomes)
        # What is kept may have come of a machine that was too busy for an instant; what ours does alone says nothing about that.
        if kept and not all(fault.startswith("ours: ") for fault in faults):
            outcomes[0] = original(stage, case, kind, folder)
            faults = judge(case, kind, *outcomes)
    except Exception as error:  # noqa: BLE001  (one scenario that goes wrong in any way leaves the others alone)
        faults = [str(error) if isinstance(error, LabError) else repr(error)]
    name = f"{case.name} ({kind})"
    differs = any(case.difference(facet, kind) for facet in (*FACETS, "asked"))
    if faults:
        said = "".join(f"\n    {who} said: {tail(seen.words)}" for who, seen in zip(("theirs", "ours"), outcomes))
        say(f"{time.monotonic() - began:6.1f} s  {name}: FAILED" + "".join(f"\n    {fault}" for fault in faults) + said)
    return Verdict(name, differs, faults, outcomes[0] if outcomes else None)


def original(stage, case, kind, folder):
    """What the original does, kept for the next time."""
    seen = outcome(stage, case, kind, False, folder)
    stage.facts.keep(case, kind, seen)
    return seen


def outcome(stage, case, kind, ours, folder):
    """One side of a scenario."""
    folder = stage.folder / folder / ("ours" if ours else "theirs")
    side = Side(stage, case, kind, ours, folder)
    try:
        return side.outcome()
    finally:
        side.close()


def tail(words):
    """The end of what was said, without the lines that are always there."""
    lines = [line for line in words.splitlines() if not re.search(r" - (DEBUG|INFO) - ", line)]
    return " / ".join(lines[-4:])[-600:]


def facts(verdict):
    """A block of what the original does."""
    seen = verdict.theirs
    lines = [f"{facet:8}{getattr(seen, facet)}" for facet in ("codes", "ran", "states", "state", "lock", "history", "asked")
             if getattr(seen, facet)]
    return "\n".join([verdict.name, *(f"    {text}" for text in lines), f"    words   {tail(seen.words)}"])


def differences(wanted):
    """Each scenario that differs on purpose, for whom, by what it closes: a line each."""
    for case, kind in wanted:
        why = {facet: entry.why for facet in (*FACETS, "asked") if (entry := case.difference(facet, kind))}
        if why:
            facets = ", ".join(facet for facet in why)
            yield f"{case.name} ({kind}): {'; '.join(dict.fromkeys(why.values()))}: {facets}"


def compare_all(options, wanted, afresh):
    """(verdicts, violations) of all that is wanted, and of the reading of configurations. What waits longest begins first."""
    wanted = sorted(wanted, key=lambda pair: not pair[0].waits)
    with scratch() as folder, Stage(folder, tools(), afresh) as stage:
        if not stage.built:
            say("run-peers: patch-run is not installed: the originals alone, and what the table says of them")
        pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
        try:
            verdicts = list(pool.map(lambda pair: compare(stage, *pair), wanted))
        finally:
            pool.shutdown(cancel_futures=True)
        violations = sum(len(verdict.faults) for verdict in verdicts)
        if not options.only or any(word in reading.NAME for word in options.only):
            violations += reading.compare(Path(folder) / "reading", stage)
    return verdicts, violations


def tell(faults):
    """What the pages and the tests do not say; how many."""
    for fault in faults:
        say(f"  pages: {fault}")
    return len(faults)


def main():
    """All that is wanted; the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.run_peers", description="patch-run against the real Python updaters")
    parser.add_argument("--only", metavar="WORD", action="append", default=[], help="scenarios whose names hold the word")
    parser.add_argument("--sample", type=int, metavar="N", help="about so many scenarios, some of each file of the table")
    parser.add_argument("--seed", default=seed.of_commit(), help="what the sample is chosen by")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--differences", action="store_true", help="name what differs on purpose, and why")
    parser.add_argument("--fresh", action="store_true", help="run the originals even where it is known what they do")
    parser.add_argument("--facts", action="store_true", help="print what the originals do")
    options = parser.parse_args()
    # What is ended from outside cleans up as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = pairs(options.only)
    afresh = None if options.fresh else set()
    if options.sample:
        wanted, afresh = sample(wanted, options.sample, options.seed)
    if options.list or options.differences:
        print("\n".join(differences(wanted) if options.differences else (f"{case.name} ({kind})" for case, kind in wanted)))
        return 0
    began = time.monotonic()
    verdicts, violations = [], tell(pages.faults())
    try:
        with Guard():
            verdicts, found = compare_all(options, wanted, afresh)
            violations += found
    except LabError as error:
        violations += 1
        say(str(error))
    if options.facts:
        print("\n".join(map(facts, filter(lambda verdict: verdict.theirs, verdicts))))
    chosen = f", seed={options.seed}" if options.sample else ""
    say(f"run-peers: {time.monotonic() - began:.0f} s{chosen}")
    differ = sum(verdict.differs for verdict in verdicts)
    scenarios, clients = len({case.name for case, _ in wanted}), len({kind.replace("2", "O") for _, kind in wanted})
    print(f"run-peers: scenarios={scenarios} clients={clients} runs={len(wanted)} same={len(wanted) - differ} differs={differ} "
          f"violations={violations}", flush=True)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
