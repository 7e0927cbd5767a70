"""One host that belongs to a patch site, and what an administrator of it does and sees."""

import contextlib
import email
import email.policy
import json
import re
import time

from tests import site as sites
from tests.hosts.host import Host

from . import journal

WITNESS = sites.WITNESS
GATE, REACHED, FAIL = "/var/lib/gate", "/var/lib/gate.reached", "/var/lib/fail"
# What the site's cluster installs: a line that says in which boot and level it was installed, synced. A test holds it with GATE
# and has it fail with FAIL.
INSTALL = f"""#!/bin/sh
exec 2>&1
if [ -d /run/systemd/system ]; then
    level=$(systemctl list-jobs --no-legend | awk '$2 == "system-update.target" {{ print $2 }}')
    level=$level,$(systemctl is-active multi-user.target)
else
    level=$(runlevel)
fi
cron=$(pgrep -x cron >/dev/null && echo runs || echo none)
echo "run=$PATCHFLAG_RUN boot=$(cat /proc/sys/kernel/random/boot_id) cron=$cron level=$level" >>{WITNESS}
sync {WITNESS}
if [ -e {GATE} ]; then : >{REACHED}; fi
while [ -e {GATE} ]; do sleep 0.05; done
if [ -e {FAIL} ]; then echo "cannot install this"; exit 3; fi
"""
# In the place of patchit, for the maintenance boot alone: does something first, or puts something around it.
AROUND = "#!/bin/sh\nif [ $# -gt 0 ] || ! {maintenance}; then exec /usr/sbin/patchit.real \"$@\"; fi\n{body}\n"
MAINTENANCE = {"sysv": '[ "$(runlevel)" = "N 1" ]', "systemd": '[ "$(systemctl is-active multi-user.target)" != active ]'}
# The tools have ended, those too that the boot itself has started and that come after its last script.
OVER = "for i in $(seq 30); do pgrep 'patchit|grab-patch|patch-stage' >/dev/null || exit 0; sleep 0.1; done; exit 1"
REBOOTERS = {"sysv": "shutdown", "systemd": "systemctl"}
NORMAL = {"sysv": ("2", "3"), "systemd": ("graphical.target", "multi-user.target")}
FLAGS = ("patchflag", "patchlog", "patchdone", "patchfailed")


class Failed(AssertionError):
    """A promise that was not kept."""


class Rig:
    """A host of the site. Cases leave it as they like; `clean` makes it idle again, or says that it can't."""

    def __init__(self, site, lab, name, kind):
        self.site, self.kind = site, kind
        self.host = Host(name, kind, lab=lab, size="512m")
        site.install(self.host)
        self.plain_config = self.host.read("/etc/patch/config.ini")
        self.host.boot()
        self.normal = self.host.level()

    def stop(self):
        """Remove the host."""
        self.host.stop()

    def become_member_of(self, site):
        """Belong to another site: its key, its tree. The host is not cleaned but replaced after that."""
        self.site = None
        self.host.write("/etc/patch/patchflag.pub", site.key)
        site.copy_tree(self.host)

    def clean(self):
        """Make the host idle and forgetful; false if that takes a new one."""
        host = self.host
        if self.site is None or not self.is_normal() or host.exists("/usr/sbin/patchit.real") or host.level() != self.normal:
            return False
        if host.run(OVER).returncode != 0:
            return False
        host.run("rm -rf /etc/patchflag /etc/patchlog* /etc/patchdone /etc/patchfailed /etc/.patchroom /system-update"
                 f" /var/spool/patch {WITNESS} {GATE} {REACHED} {FAIL} /etc/patch/*.d/* /var/log/case.*"
                 " /usr/local/sbin/shutdown /usr/local/sbin/systemctl")
        self.configure()
        if not host.exists(sites.TREE):
            self.site.copy_tree(host)
        return self.trigger() == ""

    # What an administrator does.

    def configure(self, **keys):
        """Write the configuration as it was at first, but for these keys: of [grab] as they are there, else of [patchit]."""
        text = self.plain_config
        for key, value in keys.items():
            text, found = re.subn(rf"(?m)^{key} =.*$", f"{key} = {value}", text)
            text = text if found else text.replace("[patchit]\n", f"[patchit]\n{key} = {value}\n")
        self.host.write("/etc/patch/config.ini", text)

    def configure_more(self, key, value):
        """Change one key, and leave the rest as it is by now."""
        text = self.host.read("/etc/patch/config.ini")
        self.host.write("/etc/patch/config.ini", re.sub(rf"(?m)^{key} =.*$", f"{key} = {value}", text))

    def arm(self, text=""):
        """Raise the flag; a plain one is what touch(1) makes."""
        self.host.output(["touch", "/etc/patchflag"]) if not text else self.host.write("/etc/patchflag", text)

    def tick(self, *argv, code=0):
        """Run a tool as cron would; its exit code must be this one. Returns what it said."""
        done = self.host.run(list(argv), timeout=60)
        said = (done.stdout + done.stderr).strip()
        equal(done.returncode, code, f"exit code of {' '.join(argv)}, which said {said!r}")
        return said

    def stage(self):
        """Arm and stage."""
        self.arm()
        self.tick("grab-patch")
        equal(self.state(), "staged", "state after grab-patch")

    def spawn(self, line):
        """Start something that outlives this call, and maybe the boot."""
        self.host.run(f"setsid {line} </dev/null >>/var/log/case.out 2>&1 &")

    def go(self, boots=2):
        """Let patchit order the maintenance boot, and wait until the host has come back by itself."""
        number = len(self.host.boots) + boots
        self.spawn("patchit")
        self.back(number)

    def back(self, number, timeout=60):
        """Wait for the normal level in boot `number`; nothing is asked inside before, for that would hold up a shutdown."""
        self.host.wait_for(lambda: len(self.host.boots) >= number, timeout, f"boot {number}")
        self.settle(timeout)
        equal(len(self.host.boots), number, "boots: an order is good for one, and the way back takes one")

    def settle(self, timeout=60):
        """Wait for this host's normal level, at two looks: init tells the level a moment before it starts what belongs to it."""
        def at_level():
            return self.host.level() == self.normal and self.is_normal()
        def stays():
            if not at_level():
                return False
            time.sleep(0.2)
            return at_level()
        self.host.wait_for(stays, timeout, "the normal level")

    def reboot(self):
        """Reboot as an administrator would; one boot later the host is at its normal level."""
        number = len(self.host.boots) + 1
        self.host.run(["reboot"])
        self.back(number)

    def finish(self):
        """Tick until nothing is left to be finished."""
        def over():
            self.host.run(["patchit", "--finish"])
            return not any(self.host.exists(f"/etc/{name}") for name in ("patchlog", "patchdone"))
        self.host.wait_for(over, 20, "the end of the run")

    @contextlib.contextmanager
    def held_reboot(self):
        """Order the boot, and have the shutdown never come: patchit is left waiting for it, with the host lock."""
        name = f"/usr/local/sbin/{REBOOTERS[self.kind]}"
        real = f"exec /usr/bin/{REBOOTERS[self.kind]} \"$@\"" if self.kind == "systemd" else "exit 0"
        self.host.write(name, f"#!/bin/sh\n[ \"$1\" != reboot ] || exit 0\n{real}\n", 0o755)
        self.spawn("patchit")
        self.host.wait_for(lambda: self.trigger() != "" and self.state() == "ordered", 20, "the order")
        yield
        self.host.remove(name)

    def order(self):
        """Stage, order the boot, and kill patchit before the shutdown comes."""
        self.stage()
        with self.held_reboot():
            self.kill("patchit")

    def kill(self, tool):
        """SIGKILL to a tool of ours, and wait until it is gone."""
        self.host.run(f"pkill -KILL -x {tool}")
        self.host.wait_for(lambda: self.host.run(f"pgrep -x {tool}").returncode == 1, 10, f"the end of {tool}")

    def around(self, body):
        """Have the maintenance boot start this shell text in patchit's place; the tool itself is /usr/sbin/patchit.real."""
        self.host.path("/usr/sbin/patchit").rename(self.host.path("/usr/sbin/patchit.real"))
        self.host.write("/usr/sbin/patchit", AROUND.format(maintenance=MAINTENANCE[self.kind], body=body), 0o755)

    def append(self, words, **options):
        """Add a record to the journal, as a tool that was killed right afterwards would have."""
        path = self.host.path("/etc/patchlog")
        with path.open("a") as log:
            log.write(journal.record(self.run_id(), words, **options))

    # What can be seen.

    def is_normal(self):
        """A normal level is reached and its jobs are over."""
        return self.host.level() in NORMAL[self.kind] and self.host.init.is_up()

    def state(self):
        """The last state of the journal, or nothing."""
        return (journal.states(self.log()) or [""])[-1]

    def log(self):
        """The journal of the run that is under way."""
        return self.host.read("/etc/patchlog") if self.host.exists("/etc/patchlog") else ""

    def run_id(self):
        """The run of the journal."""
        return journal.runs(self.log())[0]

    def names(self):
        """What `ls /etc/patch*` shows but for the directory."""
        return sorted(path.name for path in self.host.path("/etc").glob("patch?*"))

    def dated(self):
        """The text of each dated journal, oldest first."""
        names = [name for name in self.names() if name.startswith("patchlog.")]
        return [self.host.read(f"/etc/{name}") for name in sorted(names, key=lambda name: [int(n) for n in name.split(".")[1:]])]

    def ended(self):
        """The states of the last dated journal."""
        return journal.states(self.dated()[-1])

    def trigger(self):
        """How a maintenance boot is ordered at init; empty if none is."""
        if self.kind == "sysv":
            marks = [line for line in self.host.read("/etc/inittab").splitlines() if "patchflag: was" in line]
            return "".join(marks)
        return "/system-update" if self.host.exists("/system-update") else ""

    def installs(self):
        """What each installation wrote, in order."""
        if not self.host.exists(WITNESS):
            return []
        lines = self.host.read(WITNESS).splitlines()
        return [dict(word.partition("=")[::2] for word in line.split(" ", 3)) for line in lines]

    def mails(self):
        """Every mail that was spooled, delivered or not, oldest first."""
        queue = self.host.path("/var/spool/patch")
        files = [path for folder in ("queue", "sent", "refused") for path in (queue / folder).glob("[!.]*")]
        files.sort(key=lambda path: path.stat().st_mtime_ns)
        return [email.message_from_bytes(path.read_bytes().partition(b"\n")[2], policy=email.policy.default) for path in files]

    def subjects(self):
        """The subjects of the mails."""
        return [mail["Subject"] for mail in self.mails()]

    def status(self):
        """What patch-status says, in fields."""
        return json.loads(self.tick("patch-status", "--json"))

    # What must hold.

    def patched(self, times=1, mails=None):
        """So many installations, each a run of its own with a dated journal and a mail; nothing is left up."""
        self.idle()
        equal(len(self.installs()), times, f"installations {self.installs()}")
        equal(len({line["run"] for line in self.installs()}), times, "each order is installed once, as a run of its own")
        equal(len(self.mails()), mails or times, f"mails {self.subjects()}")
        check(any(" patched: " in subject for subject in self.subjects()), f"a mail says it was patched: {self.subjects()}")
        for text in self.dated():
            equal(len(journal.runs(text)), 1, "runs in one journal")

    def idle(self):
        """No flag, no journal under way, nothing ordered, at the normal level."""
        names = [name for name in self.names() if name in FLAGS and name != "patchfailed"]
        equal(names, [], "flags that are left")
        equal(self.trigger(), "", "the order at init")
        equal(self.host.level(), self.normal, "the level")
        equal(self.status()["state"], "idle", "the state")

    def called_off(self, mail=True):
        """Nothing was installed; the journal, where there is one, is dated, and the mail says so."""
        self.idle()
        equal(self.installs(), [], "installations")
        subjects = self.subjects()
        if mail:
            equal(self.ended()[-1], "ended", "the journal's last state")
            check(len(subjects) == 1 and "called off" in subjects[0], f"one mail says called off: {subjects}")
        else:
            equal(subjects, [], "mails")

    def works(self):
        """A new order is followed to its end: whatever was, the host can be patched."""
        installed = len(self.installs())
        self.stage()
        self.go()
        self.finish()
        equal(len(self.installs()), installed + 1, "installations after a new order")
        self.idle()


def check(condition, words):
    """A promise."""
    if not condition:
        raise Failed(words)


def equal(found, wanted, words):
    """A promise about a value."""
    if found != wanted:
        raise Failed(f"{words}: {found!r}, not {wanted!r}")
