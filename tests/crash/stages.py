"""A whole run, stage by stage: recorded once for each init, with the disk as it was when each stage began."""

import datetime
from dataclasses import dataclass, field

from . import guest, locks
from .trace import KILLED, points

# Each stage: what starts it. `patchit-maintenance` is started by init.
COMMANDS = {
    "grab-patch": "grab-patch",
    "patch-stage": "patch-stage probe -- /bin/true",
    "patch-lock": "patch-lock acquire -p",
    "patchit-order": "patchit",
    "patchit-maintenance": None,
    "patchit-finish": "patchit --finish",
    "patch-mail-deliver": "patch-mail deliver",
    "patchit-called-off": "patchit --finish",
    "patchit-interrupted": "patchit --finish",
    "patchit-refused": "patchit --finish",
    "grab-patch-fails": "grab-patch",
    "patchit-lock-lost": "patchit",
    "patch-lock-again": "patch-lock acquire -p",
}

# Other ends that a run can have: the stage, and what leads to it.
ENDS = {"patch-mail-deliver": "deliver", "patchit-called-off": "called_off", "patchit-interrupted": "interrupted",
        "patchit-refused": "refused", "grab-patch-fails": "fails"}
ENDS_WITH_LOCKS = {"patchit-called-off": "called_off", "patchit-interrupted": "interrupted", "patchit-refused": "refused",
                   "patchit-lock-lost": "lock_lost"}
# What is recorded along with an end.
SECOND = {"patchit-lock-lost": "patch-lock-again"}
# Stages that a lock makes another thing of; the others are killed in the worlds without one.
WITH_LOCKS = ("patch-lock", "patchit-order", "patchit-finish", *ENDS_WITH_LOCKS, *SECOND.values())
# Stages whose tick rightly ends with another code than 0.
CODES = {"patchit-interrupted": 1, "patchit-refused": 1, "grab-patch-fails": 1, "patchit-lock-lost": 75}
OTHER_KEY = "untrusted comment: another key\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n"


@dataclass
class Stage:
    """How a stage begins, and what was recorded of it."""

    name: str
    layers: tuple
    trace: str = ""
    points: list = field(default_factory=list)


def days():
    """The names' dates of today and tomorrow: a run may begin at midnight."""
    today = datetime.datetime.now(datetime.timezone.utc)
    return [(today + datetime.timedelta(days=n)).strftime("%y%m%d") for n in (0, 1)]


class Recorder:
    """Drives one host through a run."""

    def __init__(self, lab, world, site):
        self.lab, self.world = lab, world
        self.golden = guest.prepare(lab, world, site, days())
        self.stages = {}
        self.before = set()

    def record(self, ends):
        """All stages of a run that goes well, then these other ends of one."""
        with self.lab.host(f"record-{self.world}", self.world.kind, (self.golden,)) as host:
            host.before_boot = lambda number: self.between(host, number)
            host.boot()
            self.before = {path.name for path in host.path("/etc").iterdir()}
            host.run(f"touch {guest.QUIET}")
            for name in ("grab-patch", "patch-stage", *["patch-lock"] * self.world.locks):
                self.traced(host, name)
            self.begin(host, "patchit-order")
            host.write(guest.PLAN, guest.options())
            host.tick("setsid patchit >/dev/null 2>&1 </dev/null &")
            host.wait_up(3, 90)
            self.finish(host)
        for end in ends:
            getattr(self, {**ENDS, **ENDS_WITH_LOCKS}[end])()
        return self.stages

    def points(self):
        """Where what was recorded can be cut, of the stages that are this world's to be cut."""
        return [(name, *where) for name, stage in self.stages.items() if not self.world.locks or name in WITH_LOCKS
                for where in stage.points]

    def begin(self, host, name):
        """Keep the disk as it is now."""
        self.stages[name] = Stage(name, (*host.layers, self.lab.keep(host)))

    def end(self, name, text):
        """Keep what strace said."""
        stage = self.stages[name]
        stage.trace, stage.points = text, points(text)

    def traced(self, host, name):
        """Run a stage under strace."""
        locks.ready(host)
        self.begin(host, name)
        host.write(guest.PLAN, guest.options())
        done = host.tick(COMMANDS[name])
        if done.returncode != CODES.get(name, 0):
            raise RuntimeError(f"cannot record {name}: code {done.returncode}: {done.stderr}{done.stdout}{host.trace()[-3000:]}")
        self.end(name, host.trace())
        host.remove(guest.TRACE)

    def between(self, host, number):
        """The host is off: the maintenance boot comes next, or the normal boot after it."""
        if number == 1:
            return
        trace = host.off_path(guest.TRACE)
        if number == 2:
            self.end("patchit-order", trace.read_text())
            host.off_path(guest.QUIET).unlink()
            trace.unlink()
            self.begin(host, "patchit-maintenance")
            host.off_path(guest.PLAN).write_text(guest.options())
        if number == 3:
            self.end("patchit-maintenance", trace.read_text())
            trace.unlink()
            host.off_path(guest.QUIET).touch()

    def finish(self, host):
        """Confirm."""
        self.traced(host, "patchit-finish")
        if host.exists("/etc/patchdone"):
            raise RuntimeError(f"the tick did not confirm the host: {host.tick('patchit --explain').stdout}")

    def again(self, name):
        """A new host whose disk is as it was when a stage began."""
        host = self.lab.host(f"again-{self.world}", self.world.kind, self.stages[name].layers)
        host.write(guest.QUIET, "")
        return host

    def deliver(self):
        """The same end with a relay that is closed for a while."""
        with self.again("patchit-finish") as host:
            host.boot()
            host.write(f"{guest.MAILS}/closed", "")
            host.tick("patchit --finish; patch-mail retry --all")
            host.remove(f"{guest.MAILS}/closed")
            self.traced(host, "patch-mail-deliver")

    def called_off(self):
        """The administrator takes the order back when all is staged."""
        with self.again("patchit-order") as host:
            host.boot()
            host.remove("/etc/patchflag")
            self.traced(host, "patchit-called-off")

    def interrupted(self):
        """The power goes when the installation has just begun."""
        with self.again("patchit-maintenance") as host:
            known = self.stages["patchit-maintenance"].points
            recorded = known.index(("tool", "fdatasync", 2))
            host.remove(guest.QUIET)
            host.write(guest.PLAN, guest.injection(*known[recorded + 1]))
            host.start()
            host.wait_for(lambda: KILLED in host.trace(), 30, "the kill")
            host.power_cut()
            host.remove(guest.TRACE)
            host.write(guest.QUIET, "")
            host.boot()
            self.traced(host, "patchit-interrupted")

    def refused(self):
        """What the administrator asks of a patched host does not hold."""
        with self.again("patchit-finish") as host:
            host.write("/etc/patch/confirm.d/never", "#!/bin/sh\nexit 1\n", 0o755)
            host.boot()
            self.traced(host, "patchit-refused")

    def fails(self):
        """The cluster is signed by somebody else."""
        with self.again("grab-patch") as host:
            host.write("/etc/patch/patchflag.pub", OTHER_KEY)
            host.boot()
            self.traced(host, "grab-patch-fails")

    def lock_lost(self):
        """Somebody takes the lock of a host that is about to go down, which finds that out and takes it again."""
        with self.again("patchit-order") as host:
            host.boot()
            locks.ready(host)
            locks.take_away(host)
            self.traced(host, "patchit-lock-lost")
            self.traced(host, "patch-lock-again")
