"""See the package."""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import lock_history, lock_history_selftest, seed
from tests.apart import apart
from tests.lock_history import Recording

from . import faults, order, points, pollers
from .daemon import Lockd
from .load import Crowd
from .pulse import Pulse
from .wire import Wire

SLOTS = {"web": 1, "db": 1, "rack": 3}
CLIENTS, POLLERS = 40, 5
# How long those that wait at the end may take to be served: an offer that nobody accepts stands for 30 s.
DRAIN = 120


def main():
    """Run, check, say by the code whether all held."""
    args = arguments()
    began = time.monotonic()
    proof = Proof(args)
    with tempfile.TemporaryDirectory(prefix="lock-proof-") as folder:
        if "load" in args.part:
            proof.load(Path(folder), 40 if args.sample else args.kills)
            proof.full_disk(Path(folder), 2 if args.sample else 20)
        if "points" in args.part:
            proof.points(Path(folder), args.sample)
        if "order" in args.part:
            proof.order(Path(folder))
    print(f"lock-history: caught={proof.caught} of {proof.damages}")
    print(f"lock-proof: {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(f"lock-proof: operations={proof.operations} kills={proof.kills} violations={len(proof.found)} seed={args.seed}")
    return 1 if proof.found or proof.caught < proof.damages else 0


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.lock_proof")
    parser.add_argument("--sample", type=int, metavar="N", help="N points and a short load instead of all")
    parser.add_argument("--kills", type=int, default=500, help="how often the service is killed under load")
    parser.add_argument("--part", action="append", choices=("load", "points", "order"))
    parser.add_argument("--seed", default=seed.of_commit())
    parser.add_argument("--keep", type=Path, help="a folder for the recordings")
    parser.add_argument("--verbose", "-v", action="store_true")
    args = parser.parse_args()
    args.part = args.part or ["load", "points", "order"]
    return args


class Proof:
    """The parts, and what came of them."""

    def __init__(self, args):
        self.args = args
        self.operations = self.kills = self.damages = self.caught = 0
        self.found = []

    def load(self, folder, kills):
        """Clients, and a service that is killed."""
        def kills_of(lockd, crowd):
            return faults.Kills(lockd, crowd, self.args.seed, kills, drop_at_end=not self.args.sample)

        crowd, fault = asyncio.run(self.under_load(folder, "kills", kills_of))
        self.kills += fault.kills
        self.note("load", crowd.recording, f"kills={fault.kills} stops={fault.stops} vanished={crowd.counts}")

    def full_disk(self, folder, times):
        """Clients, and a store on a file system that is full at times."""
        disk = folder / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "lock-proof", disk], check=True)
        try:
            crowd, _ = asyncio.run(self.under_load(folder, "full", lambda *_: faults.FullDisk(disk, self.args.seed, times),
                                                   store=disk / "store"))
        finally:
            subprocess.run(["umount", disk], check=True)
        denied = sum(op.get("status") == 503 for op in crowd.recording.ops)
        self.note("full disk", crowd.recording, f"times={times} denied={denied}")
        self.damage(crowd.recording)
        if not denied:
            self.found.append("full disk: nobody was told that it is full")

    async def under_load(self, folder, name, make_fault, store=None):
        """One service, its clients, one kind of fault; then peace, until everybody is served."""
        place = folder / name
        place.mkdir()
        recording = Recording(slots=SLOTS)
        with Lockd(place, SLOTS, store, pollers.sections(POLLERS)) as lockd:
            if not lockd.start():
                raise RuntimeError(lockd.said())
            wire = Wire(lockd.address, recording)
            crowd = Crowd(wire, self.args.seed, list(SLOTS), CLIENTS, POLLERS)
            pulse = asyncio.create_task(Pulse(wire).run())
            running = asyncio.create_task(crowd.run())
            fault = make_fault(lockd, crowd)
            faulting = asyncio.create_task(fault.run())
            done, _ = await asyncio.wait([running, faulting], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            crowd.ending = True
            try:
                await asyncio.wait_for(running, DRAIN)
            except asyncio.TimeoutError:
                self.found.append(f"{name}: after {DRAIN} s without faults not everybody is served")
            pulse.cancel()
            recording.history, recording.held = await wire.history(), await wire.held()
            lockd.end()
        return crowd, fault

    def points(self, folder, sample):
        """The service killed at each system call that changes its store."""
        result = points.run(folder, sample, self.args.seed, self.args.verbose)
        self.kills += result.kills
        self.operations += result.operations
        self.found += result.found
        print(result)

    def order(self, folder):
        """No answer before the flush."""
        result = order.run(folder)
        self.operations += result.answers
        self.found += result.found
        self.damages += result.mutations
        self.caught += result.caught
        print(result)

    def note(self, name, recording, words):
        """Check a recording and say what it was."""
        if self.args.keep:
            keep(recording, self.args.keep / f"{name.replace(' ', '-')}.jsonl")
        found, compared = lock_history.check(recording)
        self.found += [f"{name}: {fault}" for fault in found]
        self.operations += len(recording.ops)
        for fault in found[:20]:
            print(f"{name}: {fault}")
        counts = " ".join(f"{key}={count}" for key, count in sorted(compared.items()))
        print(f"{name}: operations={len(recording.ops)} {counts} {words}", flush=True)

    def damage(self, recording):
        """The checker sees what is wrong, in a recording of this run as well."""
        done, missed = lock_history_selftest.prove(recording, self.args.seed)
        self.damages += done
        self.caught += done - len(missed)
        for name in missed:
            print(f"the checker does not see: {name}")


def keep(recording, path):
    """Write a recording, for `lock_history.py`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        rows = [{"slots": recording.slots}, *recording.ops, *recording.left, *({"killed": at} for at in recording.kills),
                *({"stopped": span} for span in recording.stops),
                *({"slow": span} for span in recording.slow), {"seen": recording.seen}, {"history": recording.history},
                {"held": recording.held}]
        file.writelines(json.dumps(row) + "\n" for row in rows)


if __name__ == "__main__":
    apart("tests.lock_proof")
    sys.exit(main())
