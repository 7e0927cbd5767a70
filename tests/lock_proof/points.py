"""The service killed at each system call that changes its store, in a short script of requests; or the call fails.

Two scripts' worth of starts: no store yet, so that one is made; and a store whose log is nearly full, so that it is moved into the
file. A first run records which calls there are; then each point is a run of its own. Whoever lost an answer asks again, of the
service that is started on what was left, and the checker looks at what all of them saw.

W17: a release was two steps, and a crash between them left a lock that was neither free nor to be seen. Each call of the scripts' releases is a
point here: whatever is left is held or free.
"""

import asyncio
import random
import re
import shutil
import signal
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from tests import lock_history
from tests.crash import trace
from tests.lock_history import Recording

from .daemon import Lockd
from .wire import Down, Wire

SLOTS = {"one": 1, "two": 2, "other": 1}
# SQLite moves its log into the file at 1000 pages of 4096 bytes.
LOG_NEARLY_FULL = 985 * 4120
HOW = {"kill": "signal=KILL", "full": "error=ENOSPC", "broken": "error=EIO"}
LANDED = (trace.KILLED, "(INJECTED)")
PAUSE = 0.02


@dataclass
class Result:
    """What came of all points."""

    points: int = 0
    kills: int = 0
    errors: int = 0
    operations: int = 0
    missed: int = 0
    found: list = field(default_factory=list)
    calls: dict = field(default_factory=dict)

    def __str__(self):
        calls = " ".join(f"{name}={count}" for name, count in sorted(self.calls.items()))
        return (f"points: of {self.points} killed at {self.kills}, failed at {self.errors}, missed {self.missed}; {calls} "
                f"operations={self.operations}")


def run(folder, sample, seed, verbose):
    """All points, or a sample."""
    place = folder / "points"
    place.mkdir()
    result = Result()
    starts = {"new": None, "full": prefill(place)}
    found = [(start, how, *point) for start, state in starts.items() for point in points(place, state) for how in HOW]
    result.points = len(found)
    random.Random(seed).shuffle(found)
    for start, how, name, number, paths in found[:sample]:
        where = f"{start}:{how}:{name}:{number}"
        attempt = Attempt(place, starts[start], (f"{name}:{HOW[how]}", number, paths))
        faults = attempt.run()
        result.kills += attempt.landed and how == "kill"
        result.errors += attempt.landed and how != "kill"
        result.missed += not attempt.landed
        result.calls[name] = result.calls.get(name, 0) + attempt.landed
        result.operations += len(attempt.recording.ops)
        result.found += [f"{where}: {fault}" for fault in faults]
        if verbose or faults:
            print(where, "" if attempt.landed else "missed", *faults, sep="\n    " if faults else " ", flush=True)
    return result


def prefill(place):
    """A store whose log is nearly full, as a kill leaves it."""
    state = place / "full"
    with Lockd(place, SLOTS, state) as lockd:
        lockd.start()
        asyncio.run(fill(Wire(lockd.address, Recording()), state / "locks.db-wal"))
        lockd.kill()
    return state


async def fill(wire, log):
    """Take and give back until the log is long enough."""
    while log.stat().st_size < LOG_NEARLY_FULL:
        grants = (await wire.acquire(claim("early", ["one"]), 0))["answer"]["grants"]
        await wire.release("early", "one", grants[0]["number"])


def points(place, state):
    """The calls of a run that change the store: name, number as strace counts, and the paths that it is to look at."""
    paths = sorted({path for call in recorded(place, state, ()) for path in touched(call, str(place / "run"))})
    seen = []
    for call in recorded(place, state, paths):
        if call.changes and (call.name, call.number) not in seen:
            seen.append((call.name, call.number))
    return [(*point, paths) for point in seen]


def recorded(place, state, paths):
    """The calls of a run that is left in peace."""
    attempt = Attempt(place, state, (None, 0, paths))
    faults = attempt.run()
    if faults:
        raise RuntimeError(f"a run without a fault is wrong: {faults}")
    return trace.read(attempt.trace.read_text(errors="replace"))[1]


def touched(call, below):
    """The paths of the store that a call names."""
    if not call.changes:
        return []
    return [path for path in re.findall(r'[<"](/[^<>"]*)[>"]', call.text) if path.startswith(below)]


class Attempt:
    """One run of the script."""

    def __init__(self, place, state, point):
        self.place, self.point = place, point
        self.trace = place / "trace"
        self.recording = Recording(slots=SLOTS)
        self.landed = False
        store = place / "run"
        shutil.rmtree(store, ignore_errors=True)
        if state:
            shutil.copytree(state, store)
        self.store = store

    def around(self):
        """The tracer."""
        name, number, paths = self.point
        inject = ["-e", f"inject={name}:when={number}"] if name else []
        return ["strace", "-f", "-y", "-qq", "-o", self.trace, "-e", f"trace={trace.TRACED}", *inject,
                *(word for path in paths for word in ("-P", path))]

    def run(self):
        """What is wrong afterwards."""
        with Lockd(self.place, SLOTS, self.store) as lockd:
            if not lockd.start(self.around()):
                self.restart(lockd)
            asyncio.run(self.work(lockd))
            if lockd.process:
                lockd.gone()
            # What it left at its end is read by another one.
            if not lockd.start():
                return [f"it does not start again: {lockd.said()[-500:]}"]
            asyncio.run(self.look(Wire(lockd.address, self.recording)))
            lockd.end()
        return lock_history.check(self.recording)[0]

    def restart(self, lockd):
        """It was killed, or would not start on a disk that fails: start it on what was left."""
        self.recording.add({"killed": lockd.gone()})
        self.look_for_it()
        if not lockd.start():
            raise RuntimeError(f"it does not start: {lockd.said()[-500:]}")

    async def work(self, lockd):
        """The script, and somebody who starts the service again; then its end, which the kill may hit as well."""
        script = asyncio.create_task(Script(Wire(lockd.address, self.recording)).run())
        while not script.done():
            await asyncio.sleep(PAUSE)
            if lockd.process.poll() is not None:
                self.restart(lockd)
        script.result()
        lockd.signal(signal.SIGTERM)
        while lockd.process.poll() is None:
            await asyncio.sleep(PAUSE)
        self.look_for_it()

    def look_for_it(self):
        """Whether it was hit."""
        text = self.trace.read_text(errors="replace")
        self.landed = self.landed or any(words in text for words in LANDED)

    async def look(self, wire):
        """The end."""
        self.recording.history = await wire.history()
        self.recording.held = await wire.held()
        numbers = {event["number"] for event in self.recording.history if event["owner"] == "early"}
        self.recording.ops += [op for number in numbers for op in early(number)]


def early(number):
    """The requests that filled the log were answered, all of them before anything else."""
    row = {"lock": "one", "number": number}
    ask = {"op": "acquire", "owner": "early", "host": "id-early", "locks": ["one"], "wait": 0, "status": 200, "sent": number * 1e-3,
           "answered": number * 1e-3 + 4e-4, "answer": {"state": "granted", "grants": [row]}}
    end = {"op": "release", "owner": "early", **row, "status": 200, "sent": number * 1e-3 + 5e-4, "answered": number * 1e-3 + 9e-4,
           "answer": {"found": True}}
    return ask, end


def claim(owner, locks):
    """Who asks."""
    return {"owner": owner, "host_id": f"id-{owner}", "boot": "b1", "locks": locks}


class Script:
    """Every kind of event, each in a batch of its own."""

    def __init__(self, wire):
        self.wire = wire

    async def run(self):
        """One after the other."""
        first = await self.take("a", ["one"])
        waiting = asyncio.create_task(self.take("b", ["one"], wait=30))
        await asyncio.sleep(0.1)
        soon = (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        await self.until(lambda: self.tell("down-until", {"owner": "a", "lock": "one", "number": first["one"], "until": soon}))
        await self.release("a", first)
        await self.release("b", await waiting)
        several = await self.take("c", ["two", "other"])
        await self.take("d", ["two"])
        await self.until(lambda: self.tell("force-release", {"owner": "d", "lock": "two", "by": "proof", "reason": "to see it"}))
        await self.release("c", several)

    async def take(self, owner, locks, wait=0):
        """Ask until it is granted; the numbers."""
        while True:
            op = await self.until(lambda: self.wire.acquire(claim(owner, locks), wait))
            if op["answer"].get("state") == "granted":
                return {grant["lock"]: grant["number"] for grant in op["answer"]["grants"]}
            await asyncio.sleep(PAUSE)

    async def release(self, owner, numbers):
        """Give back, until it is answered."""
        for lock, number in numbers.items():
            await self.until(lambda lock=lock, number=number: self.wire.release(owner, lock, number))

    async def tell(self, what, body):
        """A request of another kind."""
        op = {"op": what, **body}
        await self.wire.ask(op, f"/lock/1/{what}", body, 20)
        return op

    async def until(self, ask):
        """Again and again, until there is an answer."""
        while True:
            try:
                op = await ask()
            except Down:
                op = {}
            if op.get("status") == 200:
                return op
            await asyncio.sleep(PAUSE)
