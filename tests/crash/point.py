"""One kill: a stage cut short before one system call, then the host left to its ticks until it is at rest."""

import contextlib
import random
import re
import time
from dataclasses import dataclass

from tests.hosts.error import LabError

from . import guest, locks
from .stages import COMMANDS
from .trace import KILLED
from .world import World

VARIANTS = ("ticks", "boot", "off")
NORMAL = ("2", "multi-user.target", "graphical.target")
FLAGS = ("patchflag", "patchlog", "patchdone")
PATIENCE = 90
# One turn of cron. The tick that orders a boot lives until the boot comes, so nobody waits for it.
TICK = ("grab-patch; patch-stage probe -- /bin/true; patch-lock acquire -p; setsid patchit >/dev/null 2>&1 </dev/null & sleep 0.1; "
        "patchit --finish; patch-mail deliver")
# How long a host that was told to reboot may take to go down before its order counts as one that nobody follows.
GOES_DOWN = {"sysv": 4, "systemd": 8}


@dataclass(frozen=True)
class Point:
    """Where to kill: `children` means that the call is one of the tool's children, and all of them are killed."""

    world: World
    stage: str
    mode: str
    call: str
    number: int

    def __str__(self):
        words = [str(self.world), self.stage, self.call, str(self.number)]
        return ":".join(words + ["children"] * (self.mode == "tree"))

    @classmethod
    def read(cls, text):
        """The point that `--only` names."""
        world, stage, call, number, *more = text.split(":")
        return cls(World.read(world), stage, "tree" if more == ["children"] else "tool", call, int(number))

    def variant(self, seed):
        """What happens next, by seed: `ticks` go on, or the power goes and the host `boot`s; or the administrator has seen
        enough, and takes the order back.
        """
        return random.Random(f"{seed}/{self}").choice(VARIANTS)


@dataclass
class Outcome:
    """What a kill led to, for the judge."""

    landed: bool
    journal: dict
    rest: str = ""
    children: bool = False  # it was a child that was killed, and its tool a moment later


def run(host, point, variant):
    """Kill and recover; the host is left at rest, or as it was when patience ended."""
    host.remove(guest.TRACE)
    landed = (in_maintenance if point.stage == "patchit-maintenance" else at_normal_level)(host, point)
    outcome = Outcome(landed, journals(host), children=point.mode == "tree")
    if variant == "boot" or not host.is_on:
        host.power_cut()
        host.remove(guest.QUIET)
        host.start()
    elif variant == "off":
        host.off_path("/etc/patchflag").unlink(missing_ok=True)
    outcome.rest = recover(host, point.world.kind)
    return outcome


def at_normal_level(host, point):
    """Boot, and run the stage's tick with its injection."""
    host.write(guest.QUIET, "")
    host.boot()
    locks.ready(host)
    host.write(guest.PLAN, guest.injection(point.mode, point.call, point.number))
    boots = len(host.boots)
    host.tick(f"setsid {COMMANDS[point.stage]} >/dev/null 2>&1 </dev/null &")
    wait(lambda: is_over(host) or len(host.boots) > boots, 30)
    landed = KILLED in host.trace()
    if host.is_on:
        host.off_path(guest.QUIET).unlink(missing_ok=True)
    return landed


def is_over(host):
    """Somebody was killed, or the traced tool, whose process is the first one that strace names, has ended."""
    text = host.trace()
    first = re.match(r"\d* *", text)[0]
    return KILLED in text or bool(re.search(rf"^{first}\+\+\+ exited", text, re.M))


def in_maintenance(host, point):
    """Boot into the maintenance level; init starts the tool."""
    host.remove(guest.QUIET)
    host.write(guest.PLAN, guest.injection(point.mode, point.call, point.number))
    host.start()
    wait(lambda: KILLED in host.trace() or len(host.boots) > 1, 30)
    return KILLED in host.trace()


def journals(host):
    """Every journal as it is on the disk now; a tool that is at work may give one its dated name while we look."""
    etc = host.off_path("/etc")
    while True:
        with contextlib.suppress(FileNotFoundError):
            return {path.name: path.read_text(errors="replace") for path in sorted(etc.glob("patchlog*")) if path.is_file()}


def wait(predicate, timeout):
    """Wait; false if it was in vain."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if predicate():
            return True
        time.sleep(0.02)
    return False


def recover(host, kind):
    """Ticks until the host is at rest and stays so; what is still to be done if it never is."""
    end, ticks = time.monotonic() + PATIENCE, 0
    while time.monotonic() < end:
        if not wait(lambda: is_up(host), end - time.monotonic()):
            break
        if ticks and not unrest(host):
            return ""
        boots, ticks = len(host.boots), ticks + 1
        try:
            if host.level() in NORMAL:
                locks.ready(host)
            host.tick(TICK, timeout=30)
        except (LabError, OSError):
            continue  # it went down under the tick
        if last_state(host) == "ordered":
            followed = wait(lambda: len(host.boots) > boots or last_state(host) != "ordered", GOES_DOWN[kind])
            if not followed and host.is_on:
                hurry(host)
    level = host.level() if host.is_on else "off"
    return f"at level {level or 'none'} with {', '.join(unrest(host)) or 'nothing to do'}"


def is_up(host):
    """On, and its boot over, at whatever level; looked at gently, for it may be going down."""
    try:
        return host.is_on and host.init_pid is not None and host.init.is_up()
    except (LabError, OSError):
        return False


def unrest(host):
    """What keeps the host from being at rest."""
    left = [name for name in FLAGS if (host.off_path("/etc") / name).exists()]
    queue = host.off_path("/var/spool/patch/queue")
    if queue.is_dir() and any(not path.name.startswith(".") for path in queue.iterdir()):
        left.append("mail in the queue")
    if host.level() not in NORMAL:
        left.append(f"level {host.level()}")
    return left


def last_state(host):
    """The last state in the journal of the run."""
    words = journals(host).get("patchlog", "").split(" state=")
    return words[-1].split()[0] if len(words) > 1 else ""


def hurry(host):
    """An order that nobody follows fails after boot_wait; do not wait that long."""
    config = host.read("/etc/patch/config.ini")
    host.write("/etc/patch/config.ini", config.replace("boot_wait = 2m", "boot_wait = 1s"))
