"""A file system that is not there, or cannot be written, when the maintenance boot comes."""

import contextlib
import time

from tests.chain.rig import check, equal
from tests.chain.runner import case

FSTAB = "/srv/var /var none bind 0 0\n"
MOVE = f"mkdir -p /srv && mv /var /srv/var && mkdir /var && printf '{FSTAB}' >>/etc/fstab && mount --bind /srv/var /var"


@case()
def var_that_is_not_mounted_installs_nothing_and_is_mailed_later(rig):
    """The cluster is not there, nor is the spool: nothing is hidden below the empty directory; the mail comes when /var does."""
    rig.host.output(MOVE)
    rig.around("umount --lazy /var\nexec /usr/sbin/patchit.real")
    rig.stage()
    rig.go()
    rig.finish()
    rig.failed(installs=0)
    rig.untouched()
    equal(hidden(rig), [], "what lies below /var's own directory")
    rig.site = None


def hidden(rig):
    """What was written to the directory while nothing was mounted there."""
    rig.host.output("mkdir -p /mnt/root && mount --bind / /mnt/root")
    return rig.host.output("cd /mnt/root/var && find . -type f").split()


@contextlib.contextmanager
def read_only(rig, boots):
    """The next boots, so many, find a root that cannot be written from their first moment on; this is how many of them there were."""
    disk, seen = rig.host.disk, []
    was = disk.make_ready
    def make_ready():
        was()
        if len(seen) < boots:
            seen.append(len(rig.host.boots))
            rig.host.lab.run("mount", "-o", "remount,ro", disk.root)
    disk.make_ready = make_ready
    yield seen
    disk.make_ready = was


@case()
def a_root_that_is_read_only_for_a_boot_ends_the_run(rig):
    """The order cannot be undone nor anything recorded in that boot; once it can be written, the run ends with one mail."""
    rig.stage()
    with read_only(rig, 1) as seen:
        rig.spawn("patchit")
        comes_back(rig)
    equal(len(seen), 1, "boots with a root that cannot be written")
    make_writable(rig)
    rig.finish()
    rig.idle()
    equal(len(rig.mails()), 1, f"mails {rig.subjects()}")
    check(len(rig.installs()) <= 1, "nothing is installed twice")
    rig.nothing_in_the_way()
    rig.site = None


@contextlib.contextmanager
def read_only_since_patchit(rig):
    """The root cannot be written from the moment on when patchit starts: sysvinit itself has mounted it for writing before."""
    rig.around("mount -o remount,bind,ro / || exit 1\nexec /usr/sbin/patchit.real")
    yield


STAYS_READ_ONLY = {"sysv": read_only_since_patchit, "systemd": lambda rig: read_only(rig, 9)}


@case()
def a_root_that_stays_read_only_does_not_keep_the_host_in_maintenance(rig):
    """A reboot would lead to the maintenance level again, for the order cannot be undone: the host goes up without one."""
    rig.stage()
    with STAYS_READ_ONLY[rig.kind](rig):
        number = len(rig.host.boots) + 1
        rig.spawn("patchit")
        comes_back(rig)
        equal(len(rig.host.boots), number, "the maintenance boot is the only one")
        check(rig.trigger() != "", "the order still stands")
        said = str(rig.host.log)
        order = {"sysv": "/etc/inittab", "systemd": "/system-update"}[rig.kind]
        check("without a reboot" in said and f"cannot undo the order in {order}" in said, f"the console says so: {said}")
        equal(rig.installs(), [], "installations")
    make_writable(rig)
    rig.finish()
    rig.failed("not into the maintenance boot", installs=0)
    rig.untouched()
    rig.site = None


def make_writable(rig):
    """What an administrator does as soon as the disk lets him."""
    rig.host.lab.run("mount", "-o", "remount,rw", rig.host.disk.root)
    rig.host.output("mount -o remount,bind,rw /")


def comes_back(rig):
    """At the normal level within a few boots, and staying there."""
    boots = len(rig.host.boots)
    rig.host.wait_for(lambda: len(rig.host.boots) > boots, 30, "the maintenance boot")
    rig.host.wait_for(lambda: len(rig.host.boots) > boots + 5 or (rig.host.init_pid and rig.host.level() == rig.normal
                                                                 and rig.is_normal()), 60, "the normal level")
    check(len(rig.host.boots) <= boots + 5, "the host boots into maintenance again and again")
    time.sleep(1)
    rig.settle()
