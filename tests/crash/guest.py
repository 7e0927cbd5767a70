"""A host that can be killed in the middle: its disk at chosen moments, and its tools under strace(1)."""

import itertools
import threading

from tests.hosts.host import Host
from tests.hosts.lab import Lab

from . import locks, trace

KIT = "/opt/crash"
TRACE = f"{KIT}/trace"
PLAN = f"{KIT}/plan"
QUIET = f"{KIT}/quiet"
TOOLS = ("grab-patch", "patch-stage", "patch-lock", "patchit", "patch-mail")
MAILS = "/var/lib/mail-witness"
OLDER = "an older run that nobody may overwrite\n"

# Stands where the tool was. With a plan the tool runs under strace, once. With `quiet` the boot's own `patchit --finish` stays
# away, so that the tick under test is the only one; ticks say so by CRASH_TICK.
WRAPPER = f"""#!/bin/sh
if [ -e {QUIET} ] && [ -z "$CRASH_TICK" ] && [ "$1" != "" ]; then exit 0; fi
real={KIT}/bin/${{0##*/}}
if [ -s {PLAN} ] && [ ! -e {QUIET} -o -n "$CRASH_TICK" ]; then
    options=$(cat {PLAN})
    rm {PLAN}
    eval "exec strace $options -- $real \\"\\$@\\""
fi
exec "$real" "$@"
"""

# A local sendmail that keeps a copy of each mail, or refuses to while `closed` is there.
SENDMAIL = f"""#!/bin/sh
if [ -e {MAILS}/closed ]; then exit 75; fi
draft={MAILS}/.draft.$$
cat >$draft && sync $draft && mv $draft {MAILS}/mail.$$.$(date +%s%N) && sync {MAILS}
"""


class CrashLab(Lab):
    """A laboratory whose hosts can start from a disk as it was at some moment."""

    def __init__(self):
        super().__init__()
        self._layers = threading.local()
        self._count = itertools.count()
        self._lock = threading.Lock()

    def base(self, kind):
        """The base root, under what the thread has asked for."""
        below = super().base(kind)
        layers = getattr(self._layers, "wanted", ())
        return ":".join([*reversed(layers), below])

    def host(self, name, kind, layers):
        """A host whose disk is a kind's base under these layers, the last one on top."""
        with self._lock:
            number = next(self._count)
        self._layers.wanted = tuple(layers)
        try:
            host = CrashHost(f"{name}-{number}", kind, lab=self, size="512m")
        finally:
            self._layers.wanted = ()
        host.layers = tuple(layers)
        return host

    def keep(self, host):
        """A copy of what a host has written so far, as a layer for others."""
        with self._lock:
            where = f"/run/lab/layers/{next(self._count)}"
        self.run("sh", "-euc", 'mkdir -p "$(dirname "$2")"; cp -a "$1" "$2"', "sh", f"{host.disk.home}/disk/upper", where)
        return where


class CrashHost(Host):
    """A host that calls `before_boot` with the number of each boot, at the moment when it is off."""

    before_boot = None
    layers = ()

    def prepare_boot(self, words):
        """As Host's, after the hook."""
        ready = super().prepare_boot(words)
        if self.before_boot:
            self.before_boot(len(self.boots) + 1)
        return ready

    def off_path(self, path):
        """A file on the disk of a host that is off."""
        return self.lab.path(self.disk.root, path)

    def trace(self):
        """What strace has said, whether the host is on or off."""
        where = self.off_path(TRACE)
        return where.read_text(errors="replace") if where.exists() else ""

    def tick(self, line, timeout=60):
        """Run a line of cron's."""
        return self.run(f"export CRASH_TICK=1; {line}", timeout=timeout)


def prepare(lab, world, the_site, today):
    """The layer of an armed host: tools, wrappers, cluster; two older archives; the flag; the service, in a world with locks."""
    with lab.host(f"golden-{world}", world.kind, ()) as host:
        the_site.install(host, after="probe")
        if world.locks:
            locks.serve(host)
        config = host.read("/etc/patch/config.ini")
        host.write("/etc/patch/config.ini", config.replace("soak = 1s", "soak = 0s"))
        if host.exists("/etc/inittab"):
            host.write(f"{KIT}/inittab", host.read("/etc/inittab"))
        for tool in TOOLS:
            real = host.path(f"/usr/sbin/{tool}").read_bytes()
            host.write(f"{KIT}/bin/{tool}", real, 0o755)
            host.write(f"/usr/sbin/{tool}", WRAPPER, 0o755)
        host.write(f"{KIT}/reap", trace.reaper(TRACE), 0o755)
        host.write("/usr/sbin/sendmail", SENDMAIL, 0o755)
        host.path(MAILS).mkdir(parents=True)
        for day in today:
            host.write(f"/etc/patchlog.{day}", OLDER)
        host.boot()
        locks.ready(host)
        host.run("sync; sleep 0.2")
        host.power_cut()
        host.write("/etc/patchflag", "by=anna\n")
        return lab.keep(host)


def options(*more, tree=False, follow=True):
    """The words of a plan."""
    output = f"'|{KIT}/reap'" if tree else TRACE
    return " ".join(trace.options(output, *more, follow=follow))


def injection(mode, call, number):
    """The words of a plan that kills before the Nth call."""
    return options(*trace.kill_before(call, number), tree=mode == "tree", follow=mode == "tree")
