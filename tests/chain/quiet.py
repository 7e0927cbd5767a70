"""What is not ordered is not done: no order, no trace; another boot, another level, no installation."""

import socket

from .rig import check, equal
from .runner import case

TOOLS = (["grab-patch"], ["patch-stage", "dump", "--", "touch", "/stage-ran"], ["patchit"], ["patchit", "--finish"], ["patch-mail", "deliver"])
# Everything that is on the root file system and in /run/patch, with its times.
LISTING = "find / /run/patch -xdev -path /proc -prune -o -printf '%p %i %s %m %T@ %C@\\n' 2>/dev/null | LC_ALL=C sort"
MACHINE = ("/run", "/var/log/journal", "/tmp", "/var/tmp", "/var/lib/systemd", "/etc/mtab", "/var/log/wtmp")


def listing(rig):
    """What is on the disk, but for what the init system writes by itself."""
    return [line for line in rig.host.output(LISTING).splitlines() if not line.startswith(MACHINE) or line.startswith("/run/patch")]


def syslog(rig):
    """A way to hear what is logged: nobody listens on a bare sysvinit host, so the test does."""
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear.setblocking(False)
    path = rig.host.path("/dev/log")
    path.unlink(missing_ok=True)
    ear.bind(str(path))
    path.chmod(0o666)
    return ear


def heard(ear):
    """What was logged since."""
    try:
        return [ear.recv(4096)]
    except BlockingIOError:
        return []


@case()
def ticks_of_an_unarmed_host_do_nothing(rig):
    """No file is changed, nothing is printed, nothing is logged, no connection is opened."""
    with syslog(rig) as ear:
        rig.host.output("logger -t probe hello")
        check(heard(ear), "the test hears what is logged")
        for argv in TOOLS:
            rig.tick(*argv)
        before = listing(rig)
        for argv in TOOLS:
            equal(rig.tick(*argv), "", f"output of {argv}")
        equal([line for line in listing(rig) if line not in before], [], "files that changed")
        equal(heard(ear), [], "syslog")
    for argv in TOOLS[:4]:
        trace = rig.host.run(["strace", "-f", "-e", "trace=connect,socket,openat,open,execve", *argv]).stderr
        check("socket(" not in trace and "/etc/patch/config" not in trace, f"{argv} opens neither socket nor configuration: {trace}")
    rig.idle()


def reboots_without(rig, state):
    """A reboot for another reason leaves the state as it is, and nothing is installed."""
    rig.reboot()
    equal(rig.status()["state"], state, "the state after the reboot")
    equal(rig.installs(), [], "installations")
    equal(rig.trigger(), "", "the order at init")


@case()
def a_reboot_for_another_reason_patches_nothing(rig):
    """Idle, armed, fetching and staged; then the staged run goes on as if nothing had been."""
    reboots_without(rig, "idle")
    rig.arm()
    reboots_without(rig, "armed")
    rig.configure(server="/srv/away")
    rig.tick("grab-patch", code=69)
    equal(rig.state(), "fetching", "the state without a server")
    reboots_without(rig, "fetching")
    rig.configure()
    rig.tick("grab-patch")
    reboots_without(rig, "staged")
    rig.go()
    rig.finish()
    rig.patched()
    equal(rig.ended(), ["fetching", "staged", "ordered", "starting", "installing", "installed"], "the states of the run")


@case()
def an_order_that_the_next_boot_does_not_follow_is_void(rig):
    """A boot to the normal level, said at the boot loader's prompt: the run fails, and is never ordered again."""
    rig.order()
    rig.host.power_cut()
    number = len(rig.host.boots) + 1
    rig.host.start({"sysv": rig.normal, "systemd": f"systemd.unit={rig.normal}"}[rig.kind])
    rig.back(number)
    rig.finish()
    rig.idle()
    equal(rig.installs(), [], "installations")
    equal(rig.ended()[-2:], ["failing", "failed"], "how the run ended")
    check("not into the maintenance boot" in rig.dated()[0], "the journal says why")
    equal(len(rig.mails()), 1, f"mails {rig.subjects()}")
    rig.tick("patchit")
    rig.reboot()
    rig.works()
