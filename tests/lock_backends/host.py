"""A host: a root of its own, a place on the network, and every call of `patch-lock` on it noted for the checker of locks."""

import json
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests import site
from tests.hosts import power
from tests.hosts.error import LabError

DEADLINE = 60
DOMAIN = "lock.example"
MEMORY = "var/lib/patch/grants"
GRANT = re.compile(r"^lock (\S+) is held \(grant (\d+)(?:, local)?\)$", re.MULTILINE)


@dataclass
class Said:
    """How a call ended. A signal's code is negative, as `subprocess` has it."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def number(self):
        """Of an acquire that was granted: the number."""
        found = GRANT.search(self.out)
        return int(found[2]) if found else None


class Call:
    """A call of `patch-lock` that runs."""

    def __init__(self, argv, op=None):
        self.op, self.began, self.said = op, time.monotonic(), None
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self, timeout=DEADLINE):
        """Wait for its end."""
        if self.said is None:
            try:
                out, err = self.process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise LabError(f"patch-lock did not end in {timeout} s") from None
            now = time.monotonic()
            self.said = Said(self.process.returncode, out, err, now - self.began)
            if self.op is not None:
                note(self.op, self.said, now)
        return self.said

    def kill(self):
        """kill -9, and all that it started."""
        power.kill_inside(self.process)
        return self.end()

    @property
    def runs(self):
        """It has not ended."""
        return self.process.poll() is None


class Host:
    """A host, made anew below a folder; `section` is what its [lock] says besides its name."""

    def __init__(self, lab, folder, name, section, recording, net=None):
        self.lab, self.name, self.recording, self.net = lab, f"{name}.{DOMAIN}", recording, net
        self.root = folder / name
        self.id = os.urandom(16).hex()
        self.calls = []
        self.write("etc/machine-id", self.id + "\n")
        for path in ("sys/kernel/random/boot_id", "1/stat"):
            self.write(f"proc/{path}", Path("/proc", path).read_text())
        self.configure(section)

    def write(self, name, text):
        """A file of the host."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def configure(self, section):
        """Its configuration."""
        self.write("etc/patch/config.ini", f"[lock]\nowner = {self.name}\n{section}")

    def argv(self, *words, around=()):
        """The command line of a call, with a tracer around it."""
        tool = site.tools() / "usr/sbin/patch-lock"
        return self.lab.enter(*around, tool, "--root", self.root, *words, net=self.net)

    def start(self, *words, op=None, around=()):
        """Begin a call."""
        if op is not None:
            op["sent"] = time.monotonic()
            self.recording.add(op)
        call = Call(self.argv(*words, around=around), op)
        self.calls.append(call)
        return call

    def run(self, *words, **options):
        """A whole call."""
        return self.start(*words, **options).end()

    def start_acquire(self, lock, *options, around=()):
        """Begin to ask for a lock."""
        op = {"op": "acquire", "owner": self.name, "host": self.id, "locks": [lock], "wait": any("--wait" in o for o in options)}
        return self.start("acquire", lock, *options, op=op, around=around)

    def acquire(self, lock, *options, code=0):
        """Ask for a lock; what was said, which must have this code."""
        return expect(self.start_acquire(lock, *options).end(), code, f"{self.name} acquires {lock}")

    def start_release(self, lock, around=()):
        """Begin to give a lock back; as the checker wants to know which grant, one of which nothing is known is not noted."""
        number = self.remembered(lock)
        op = number and {"op": "release", "owner": self.name, "lock": lock, "number": number}
        return self.start("release", lock, op=op or None, around=around)

    def release(self, lock, code=0):
        """Give a lock back."""
        return expect(self.start_release(lock).end(), code, f"{self.name} releases {lock}")

    def remembered(self, lock):
        """The number of the grant that this host remembers; else what the service says it has."""
        for words in map(str.split, self.memory().splitlines()):
            if words[0] != "asking" and words[1] == lock:
                return int(words[2].removesuffix("-local"))
        said = self.run("show", lock, "--json")
        holders = json.loads(said.out)[0]["holders"] if said.code == 0 else []
        return next((holder["number"] for holder in holders if holder["owner"] == self.name), None)

    def memory(self):
        """What the host itself remembers of its locks."""
        path = self.root / MEMORY
        return path.read_text() if path.exists() else ""

    def ask(self, *words):
        """What a question for programs is answered."""
        return json.loads(expect(self.run(*words, "--json"), 0, " ".join(words)).out)

    def holder(self, lock):
        """(owner, number) of the grant of a lock; nothing if it is free."""
        holders = self.ask("show", lock)[0]["holders"]
        return (holders[0]["owner"], holders[0]["number"]) if holders else None

    def queue(self, lock):
        """Who waits, in order."""
        return [waiter["owner"] for waiter in self.ask("show", lock)[0]["queue"]]

    def left(self, lock):
        """It is known that this host wants to wait no longer."""
        self.recording.add({"left": self.name, "locks": [lock], "at": time.monotonic()})

    def end_all(self):
        """End calls that a case has left running."""
        for call in self.calls:
            if call.runs:
                call.kill()
        self.calls.clear()


def note(op, said, now):
    """What an answer was, as the checker of locks reads it; after 69 and a kill nobody knows."""
    if op["op"] == "acquire" and said.code == 0:
        grants = [{"lock": lock, "number": int(number)} for lock, number in GRANT.findall(said.out)]
        op |= {"answered": now, "status": 200, "answer": {"state": "granted", "grants": grants}}
    elif op["op"] == "acquire" and said.code == 75:
        op |= {"answered": now, "status": 200, "answer": {"state": "waiting"}}
    elif op["op"] == "release" and said.code == 0:
        op |= {"answered": now, "status": 200, "answer": {"found": "is released" in said.out}}
    else:
        op["closed"] = now


def expect(said, code, what):
    """The answer, if it has the code."""
    if said.code != code:
        raise LabError(f"{what}: code {said.code}, not {code}: {said.out}{said.err}")
    return said


def expect_within(said, seconds, what):
    """The answer, if it came in time."""
    if said.seconds > seconds:
        raise LabError(f"{what}: it took {said.seconds:.1f} s, more than {seconds} s")
    return said
