"""See the package: `python3 -m tests.run_peers [--only WORD] [--list] [--facts] [--fresh]`."""

import argparse
import concurrent.futures
import datetime
import re
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.error import LabError
from tests.hosts.guard import Guard
from tests.lockd_clients.updaters import say, scratch

from . import reading
from .compare import FACETS, judge
from .side import Side
from .stage import Stage, tools
from .table import CASES

AT_ONCE = 2


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


def compare_all(options, wanted):
    """(verdicts, violations) of all that is wanted, and of the reading of configurations."""
    with scratch() as folder, Stage(folder, tools(), options.fresh) as stage:
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


def main():
    """All that is wanted; the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.run_peers", description="patch-run against the real Python updaters")
    parser.add_argument("--only", metavar="WORD", action="append", default=[], help="scenarios whose names hold the word")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--fresh", action="store_true", help="run the originals even where it is known what they do")
    parser.add_argument("--facts", action="store_true", help="print what the originals do")
    options = parser.parse_args()
    # What is ended from outside cleans up as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = pairs(options.only)
    if options.list:
        print("\n".join(f"{case.name} ({kind})" for case, kind in wanted))
        return 0
    began = time.monotonic()
    verdicts, violations = [], 0
    try:
        with Guard():
            verdicts, violations = compare_all(options, wanted)
    except LabError as error:
        violations += 1
        say(str(error))
    if options.facts:
        print("\n".join(map(facts, filter(lambda verdict: verdict.theirs, verdicts))))
    differ = sum(verdict.differs for verdict in verdicts)
    scenarios, clients = len({case.name for case, _ in wanted}), len({kind.replace("2", "O") for _, kind in wanted})
    print(f"run-peers: scenarios={scenarios} clients={clients} runs={len(wanted)} same={len(wanted) - differ} "
          f"differs={differ} (each with its W) violations={violations} seconds={time.monotonic() - began:.0f}", flush=True)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
