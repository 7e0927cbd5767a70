"""The lock service is away: when the lock is waited for, when the boot is to be ordered, and when the lock is to be given back.

The service is our own patch-lockd, on the host's loopback; its store lies outside of the host, and outlives its boots.
"""

import contextlib
import json
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from tests.chain import journal
from tests.chain.rig import check, equal
from tests.chain.runner import case

SECRET = "/etc/patch/lock.secret"
SECTION = f"""
[lock]
backend = lockd
url = http://127.0.0.1:7424
secret_id = local
secret_file = {SECRET}
names = web
owner = web01.example.org
backoff_base = 1s
backoff_max = 1s
"""
TAKE = ("patch-lock", "acquire", "-p")
REMEMBERED = "/var/lib/patch/grants"
PATIENCE = timedelta(minutes=15)


class Service:
    """A lock service that can go away and come back; the host's runs take a lock of it."""

    def __init__(self, rig, folder):
        self.rig, self.root = rig, Path(folder)
        rig.configure()
        rig.host.write("/etc/patch/config.ini", rig.host.read("/etc/patch/config.ini") + SECTION)

    @contextlib.contextmanager
    def at_work(self):
        """It can be reached in this boot of the host's, until it is killed."""
        with self.rig.neighbour(self.rig.site.tools / "usr/sbin/patch-lockd", "--root", self.root):
            secret = (self.root / "var/lib/patch-lockd/local.secret").read_text()
            self.rig.host.write(SECRET, secret, 0o600)
            yield

    def events(self):
        """What has happened to the lock, oldest first, but for the times that the host was said to be down."""
        history = json.loads(self.rig.tick("patch-lock", "history", "--json", "web"))
        return [event["event"] for event in reversed(history) if event["event"] != "down"]


@contextlib.contextmanager
def service(rig):
    """A service with an empty store that was there once, and is away at first."""
    with tempfile.TemporaryDirectory(prefix="patchflag-locks-") as folder:
        locks = Service(rig, folder)
        with locks.at_work():
            rig.tick("patch-lock", "list")
        yield locks


def leave(rig):
    """Let patchit order the boot while the service is there; which boot leads back."""
    number = len(rig.host.boots) + 2
    rig.spawn("patchit")
    rig.host.wait_for(lambda: rig.state() == "ordered", 20, "the order")
    return number


def make_older(rig, age):
    """The clock of a guest is the machine's: so all that the journal tells of happened this much earlier."""
    name = next(name for name in rig.names() if name.startswith("patchlog."))
    lines = []
    for line in rig.host.read(f"/etc/{name}").splitlines():
        when = datetime.fromisoformat(journal.facts(line)["time"]) - age
        lines.append(journal.again(line, when))
    rig.host.write(f"/etc/{name}", "".join(lines), 0o600)


@case()
def a_lock_that_cannot_be_released_is_told_and_released_when_the_service_is_back(rig):
    """The host is confirmed. Nothing is told before the quarter of an hour is over, and nothing is told twice."""
    with service(rig) as locks:
        rig.stage()
        with locks.at_work():
            rig.tick(*TAKE)
            number = leave(rig)
        rig.back(number)
        rig.host.wait_for(lambda: "verdict=ok" in tick_away(rig), 20, "the verdict")
        rig.tick("patchit", "--finish", code=69)
        equal((rig.names()[0], rig.mails()), ("patchdone", []), "the flag and the mails before it is time")
        check("127.0.0.1" in journal.facts(rig.dated()[0])["unreleased"], "the journal says why")
        make_older(rig, PATIENCE)
        for _ in range(3):
            rig.tick("patchit", "--finish", code=69)
            check("lock NOT released" in rig.mail().splitlines()[0], f"the one mail: {rig.mail()}")
        equal(rig.names()[0], "patchdone", "the flag while the lock is held")
        check(" released=" not in rig.dated()[0], "the journal while the lock is held")
        with locks.at_work():
            # Either this tick gives the lock back, or the one that the boot has started and that still waits.
            rig.finish()
            equal(locks.events(), ["granted", "released"], "what the service knows")
        rig.idle()
        equal(len(rig.mails()), 1, f"mails {rig.subjects()}")
        check(" released=" in rig.dated()[0] and not rig.host.exists("/etc/patchfailed"), "the journal says so")
        equal((len(rig.installs()), rig.version()), (1, "2 ii"), "installations, and the package")


def tick_away(rig):
    """A tick that may come too early for a verdict; the journal."""
    rig.host.run(["patchit", "--finish"])
    return rig.dated()[0]


@case()
def a_boot_is_not_ordered_while_nobody_can_say_whether_the_lock_stands(rig):
    """69, nothing is lowered and nothing ordered; one mail after the third time; then the run goes on."""
    with service(rig) as locks:
        rig.stage()
        with locks.at_work():
            rig.tick(*TAKE)
        boots = len(rig.host.boots)
        for mails in (0, 0, 1, 1):
            rig.tick("patchit", code=69)
            equal((rig.names(), rig.state(), rig.trigger()), (["patchflag", "patchlog"], "staged", ""), "flags, state and order")
            equal((len(rig.mails()), len(rig.host.boots)), (mails, boots), "mails and boots")
        check("127.0.0.1" in rig.mail(), f"the mail names the service: {rig.mail()}")
        with locks.at_work():
            number = leave(rig)
        rig.back(number)
        with locks.at_work():
            rig.finish()
            equal(locks.events(), ["granted", "released"], "what the service knows")
        rig.patched(mails=2)


@case()
def a_wait_for_the_lock_outlasts_a_service_that_is_away(rig):
    """It is away at first, and goes away again while another owner is waited for; a tick beside it does nothing."""
    with service(rig) as locks:
        rig.stage()
        config = rig.host.read("/etc/patch/config.ini")
        rig.host.write("/var/lib/case.ini", config.replace("web01", "web02"))
        with locks.at_work():
            rig.tick("patch-lock", "--config", "/var/lib/case.ini", "acquire", "web")
        rig.host.remove(REMEMBERED)  # it is another host
        rig.tick(*TAKE, code=69)
        rig.spawn("sh -c 'patch-lock acquire -p --wait; echo $? >/var/log/case.code'")
        rig.host.wait_for(lambda: rig.host.run(["pgrep", "-x", "patch-lock"]).returncode == 0, 10, "the wait")
        equal(rig.tick(*TAKE), "", "a tick beside the wait")
        rig.tick("patchit")
        equal((rig.state(), rig.mails()), ("staged", []), "state and mails without the service")
        for _ in range(2):
            with locks.at_work():
                rig.host.wait_for(lambda: "web01" in rig.tick("patch-lock", "show", "web"), 20, "the place in the queue")
        with locks.at_work():
            rig.tick("patch-lock", "force-release", "web", "--owner=web02.example.org", "--by=admin", "--reason=gone")
            rig.host.wait_for(lambda: "grant=" in rig.log(), 30, "the grant")
            rig.host.wait_for(lambda: rig.host.exists("/var/log/case.code"), 10, "the end of the wait")
            equal(rig.host.read("/var/log/case.code").strip(), "0", "its exit code")
            number = leave(rig)
        rig.back(number)
        with locks.at_work():
            rig.finish()
            equal(locks.events(), ["granted", "forced", "granted", "released"], "what the service knows")
        rig.patched()
