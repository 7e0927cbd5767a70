"""One kill, and what follows until the host is at rest."""

import os
import random
import signal
import time
from dataclasses import dataclass, field

from tests.crash import trace
from tests.hosts.wait import wait_for

from .host import Line

STARTS = 40
BOOT_WAIT = 16 * 60
HOW = ("driver", "power", "term")


@dataclass(frozen=True)
class Point:
    """Where a scene is cut: before the Nth call of a name; or while a script is at work, by `driver` (SIGKILL to the driver alone),
    `power` (nobody lives on) or `term` (SIGTERM to the driver)."""

    dialect: str
    scene: str
    what: str
    where: str

    def __str__(self):
        return f"{self.dialect}:{self.scene}:{self.what}:{self.where}"

    @classmethod
    def read(cls, text):
        """The point that `--only` names."""
        return cls(*text.split(":"))

    def variant(self, seed):
        """What follows, by seed: ticks alone, or a boot first."""
        return random.Random(f"{seed}/{self}").choice(("ticks", "boot"))


@dataclass
class Outcome:
    """What a kill led to, for the judge. `killed` is the number of lines that the scripts had written by then."""

    scene: object
    what: str
    landed: bool = False
    booted: bool = False
    killed: int = 0
    boot: str = ""
    state: str = None
    record: str = ""
    lines: list[Line] = field(default_factory=list)
    asked: list = field(default_factory=list)
    events: list = field(default_factory=list)
    holders: list = field(default_factory=list)
    states: list = field(default_factory=list)
    leftovers: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    boots: list = field(default_factory=list)
    # Moments at which everybody ended who worked: a script that had begun may have no end.
    cuts: list = field(default_factory=list)


def run(host, scene, point, variant):
    """Kill and recover."""
    outcome = Outcome(scene, point.what)
    scene.ready(host)
    if point.what in HOW:
        at_work(host, scene, point, outcome)
    else:
        text = host.traced(*scene.argv, more=trace.kill_before(point.what, int(point.where)), follow=False)
        outcome.landed = trace.KILLED in text
        note(host, outcome)
    for wrong in ("fails", "stays"):
        (host.folder / wrong).unlink(missing_ok=True)
    if variant == "boot" or point.what == "power":
        outcome.booted = True
        host.boot()
        start(host, outcome, "--after_reboot")
    host.vacate()
    recover(host, outcome)
    look(host, outcome)
    return outcome


def at_work(host, scene, point, outcome):
    """While a script is at work: the driver gets a signal, or the power goes."""
    host.hold(point.where)
    process = host.start(*scene.argv)
    try:
        wait_for(lambda: host.is_at(point.where), 20, point.where)
        if point.what == "power":
            host.power_cut()
        else:
            os.kill(host.driver(), signal.SIGKILL if point.what == "driver" else signal.SIGTERM)
        code = host.finish(process)
    finally:
        process.kill()
        process.wait()
    outcome.landed = True
    note(host, outcome)
    if point.what == "driver":
        busy(host, outcome)
    elif point.what == "term" and code != 128 + signal.SIGTERM:
        outcome.faults.append(f"SIGTERM in {point.where}: code {code}")
    if point.what == "term":
        host.cuts.append(time.time_ns())
    host.let_go(point.where)


def note(host, outcome):
    """What is on disk at the kill."""
    outcome.killed, outcome.boot = len(host.lines()), host.boots[-1]
    outcome.state, outcome.record = host.state(), host.record()
    outcome.states.append(outcome.state)


def busy(host, outcome):
    """The script lives on: whoever starts meanwhile begins nothing."""
    before = len(host.lines())
    for argv in ((), ("--after_reboot",)):
        code = start(host, outcome, *argv)
        if code != 75:
            outcome.faults.append(f"beside a script that has outlived its driver: code {code}")
    if len(host.lines()) != before:
        outcome.faults.append("something ran beside a script that has outlived its driver")


def start(host, outcome, *argv):
    """One start of those that follow; its code."""
    code = host.run(*argv)
    outcome.states.append(host.state())
    if code not in (0, 75):
        outcome.faults.append(f"a start after the kill ended with {code}: {host.errors.strip()}")
    return code


def recover(host, outcome):
    """Ticks until there is nothing to do. A host that was told to reboot does so; while one waits for a boot time passes."""
    for _ in range(STARTS):
        if (host.folder / "down").exists():
            host.boot()
            start(host, outcome, "--after_reboot")
            continue
        before = len(host.lines())
        code = start(host, outcome)
        if code == 0 and host.state() is None and (host.folder / "patched").exists():
            return
        if code == 0 and host.state() == "post_update\n" and len(host.lines()) == before and not (host.folder / "down").exists():
            host.age(BOOT_WAIT)
    outcome.faults.append(f"not over after {STARTS} starts: state {host.state()!r}: {host.errors}")


def look(host, outcome):
    """What the judge wants to see."""
    outcome.lines, outcome.boots = host.lines(), list(host.boots)
    outcome.asked, outcome.cuts = list(host.relay.asked), list(host.cuts)
    outcome.events, outcome.holders = host.history()
    outcome.leftovers = host.leftovers()
