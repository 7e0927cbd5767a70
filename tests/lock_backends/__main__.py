"""`python3 -m tests.lock_backends [--sample N] [WORD…]`: every case, or those whose names hold a word; one line at the end."""

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import seed
from tests.hosts.error import LabError
from tests.hosts.guard import Guard
from tests.hosts.lab import Lab

from . import dir_cases, etcd_cases
from .cluster import MEMBERS
from .dir_stage import DirStage
from .etcd_stage import EtcdStage


def main():
    """Run the cases, each with a line; the exit code."""
    args = arguments()
    began = time.monotonic()
    with Guard(), tempfile.TemporaryDirectory(prefix="lock-backends-") as folder, ThreadPoolExecutor() as pool, Lab() as lab:
        place, terms = Path(folder), (args.seed, args.sample)
        # They mostly wait, and share nothing.
        parts = ((EtcdStage(lab, place / "peace", *terms, "10.78.1.0/24"), etcd_cases.PEACE),
                 (EtcdStage(lab, place / "failures", *terms, "10.78.2.0/24"), etcd_cases.FAILURES),
                 (DirStage(lab, place / "dir", *terms), dir_cases.CASES))
        running = [pool.submit(run_all, *part, args.words) for part in parts]
        found = [part.result() for part in running]
    count, kills, faults = map(sum, zip(*found))
    say(f"lock-backends: {time.monotonic() - began:.0f} s, kills={kills} seed={args.seed}")
    say(f"lock-backends: dir: {why_no_nfs()}: bind mounts with scope = this-host")
    print(f"lock-backends: cases={count} etcd={MEMBERS} dir={DirStage.kind} violations={faults}", flush=True)
    return 1 if faults or not count else 0


def why_no_nfs():
    """Why the directory is not what it is on a site: nothing here may load a module into the machine's kernel."""
    kinds = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}
    return "this suite serves no NFS" if kinds & {"nfs", "nfs4"} else "no NFS in this kernel"


def run_all(stage, cases, words):
    """The cases of one stage: how many, how many kills fell, how many faults there are."""
    wanted = [case for case in cases if not words or any(word in f"{stage.name} {case.__name__}" for word in words)]
    if not wanted:
        return 0, 0, 0
    with stage:
        faults = sum(run(stage, case) for case in wanted)
        found = stage.violations()
    for fault in found[:20]:
        say(f"{stage.name}: {fault}")
    return len(wanted), stage.kills, faults + len(found)


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.lock_backends")
    parser.add_argument("--sample", type=int, metavar="N", help="N places of each kind to be killed at, and a short load")
    parser.add_argument("--seed", default=seed.of_commit())
    parser.add_argument("words", nargs="*", metavar="WORD")
    return parser.parse_args()


def run(stage, case):
    """One case; whether it has a fault."""
    began, fault = time.monotonic(), None
    try:
        case(stage)
    except Exception as error:  # noqa: BLE001  (one case that goes wrong in any way leaves the others alone)
        fault = str(error) if isinstance(error, LabError) else repr(error)
    took = time.monotonic() - began
    say(f"{took:6.1f} s  {stage.name}: {case.__name__.replace('_', ' ')}: {f'FAILED: {fault}' if fault else 'ok'}")
    stage.recover()
    return bool(fault)


def say(text):
    """A line, at once."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
