"""No answer before the flush: what a kill cannot show, for it leaves the page cache alone.

The service is recorded under load. Each owner asks once, so that its name and the kind of event, which stand side by side in a row
of the history, are found in the pages that are written to the log. An answer that tells of a grant or a release may be sent only
after a flush of the log that came after that write has returned. Then each flush on which an answer relies is taken out of the
recording: that must be found wrong.
"""

import asyncio
import re
from dataclasses import dataclass, field

from tests.lock_history import Recording

from .daemon import Lockd
from .wire import Wire

TRACED = "recvfrom,read,readv,recvmsg,sendto,write,writev,sendmsg,pwrite64,pwritev,fsync,fdatasync"
CLIENTS, TURNS = 8, 25
LINE = re.compile(r"^(\d+) +(?:(\w+)\(|<\.\.\. (\w+) resumed>)(.*)$")
SOCKET = re.compile(r"^\d+<((?:socket|TCP\w*):\[[^>]*)>")
ASKED = re.compile(r"POST /lock/1/(acquire|release) .*?owner\\\": ?\\\"(o\d{5})x")
WRITTEN = re.compile(r"(o\d{5})x(granted|released)")
KINDS = {"acquire": ("granted", r'\"state\":\"granted\"'), "release": ("released", r'\"found\":true')}


@dataclass
class Result:
    """What the recording came to."""

    answers: int = 0
    flushes: int = 0
    mutations: int = 0
    caught: int = 0
    found: list = field(default_factory=list)

    def __str__(self):
        return (f"order: answers={self.answers} flushes={self.flushes} violations={len(self.found)} "
                f"mutations={self.mutations} caught={self.caught}")


def run(folder):
    """Record, check, and prove that the check can fail."""
    place = folder / "order"
    place.mkdir()
    path = place / "trace"
    with Lockd(place, {f"lock{n}": 1 for n in range(3)}) as lockd:
        tracer = ["strace", "-f", "-y", "-qq", "-s", "9000", "-o", path, "-e", f"trace={TRACED}"]
        if not lockd.start(tracer):
            raise RuntimeError(lockd.said())
        asyncio.run(load(Wire(lockd.address, Recording())))
        lockd.end()
    lines = path.read_text(errors="replace").splitlines()
    whole = Follow(lines)
    result = Result(whole.answers, whole.flushes, found=[f"order: {fault}" for fault in whole.faults])
    if whole.answers < CLIENTS * TURNS * 2:
        result.found.append(f"order: only {whole.answers} answers of {CLIENTS * TURNS * 2} were seen")
    for flush in whole.carrying:
        result.mutations += 1
        result.caught += bool(Follow(lines, without=flush).faults)
    return result


async def load(wire):
    """Several at once, so that there are batches."""
    await asyncio.gather(*(turns(wire, n) for n in range(CLIENTS)))


async def turns(wire, client):
    """Each turn in another name."""
    for turn in range(TURNS):
        owner = f"o{client * TURNS + turn:05}x"
        locks = [f"lock{turn % 3}"]
        while True:
            op = await wire.acquire({"owner": owner, "host_id": "id", "boot": "b1", "locks": locks}, 30)
            if op["answer"].get("state") == "granted":
                break
        await wire.release(owner, locks[0], op["answer"]["grants"][0]["number"])


class Follow:
    """A recording, followed line by line; `without` is a flush that is taken not to have happened."""

    def __init__(self, lines, without=None):
        self.faults, self.answers, self.flushes, self.carrying = [], 0, 0, set()
        self.asked, self.written, self.durable, self.flushing = {}, set(), {}, {}
        self.without = without
        for line in lines:
            found = LINE.match(line)
            if found:
                self.follow(*found.groups())

    def follow(self, pid, entered, resumed, words):
        """One line."""
        name = entered or resumed
        if name in ("fdatasync", "fsync"):
            if entered and "-wal>" in words:
                self.flushing[pid] = set(self.written)
            if pid in self.flushing and words.rstrip().endswith("= 0"):
                self.flushed(self.flushing.pop(pid))
        elif name in ("pwrite64", "pwritev") and "-wal>" in words[:300]:
            self.written |= set(WRITTEN.findall(words))
        else:
            self.talk(pid, name, entered, words)

    def flushed(self, carried):
        """A flush has returned."""
        number, self.flushes = self.flushes, self.flushes + 1
        for event in carried if number != self.without else ():
            self.durable.setdefault(event, number)

    def talk(self, pid, name, entered, words):
        """A request that was read, or an answer that is sent."""
        if entered:
            found = SOCKET.match(words)
            self.asked[pid, "socket"] = socket = found[1] if found else None
        else:
            socket = self.asked.get((pid, "socket"))
        if socket is None:
            return
        if name in ("recvfrom", "read", "readv", "recvmsg"):
            found = ASKED.search(words)
            if found:
                self.asked[socket] = found.groups()
        elif entered and socket in self.asked:
            path, owner = self.asked[socket]
            kind, answer = KINDS[path]
            if answer in words:
                self.answers += 1
                # What is told after a later flush is on disk by that one as well.
                if self.durable.get((owner, kind)) == self.flushes - 1:
                    self.carrying.add(self.flushes - 1)
                if (owner, kind) not in self.durable:
                    self.faults.append(f"{owner} was told that it is {kind} before that was flushed")
