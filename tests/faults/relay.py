"""The relay is down: the mail waits, and is delivered once when the relay is back."""

import sys
from pathlib import Path

from tests.chain.rig import check, equal
from tests.chain.runner import case

PORT = 2525
SMTP = Path(__file__).with_name("small_smtp.py")
MAIL = f"[mail]\nto = ops@example.org\nrelay = 127.0.0.1:{PORT}\ntls = none\n"
BOX = "/var/lib/case.box"


@case("sysv")
def a_relay_that_is_down_delays_the_mail_and_loses_nothing(rig):
    """Not by ticks, not by a reboot, not by a week; one delivery when it is back, and no second one."""
    rig.host.write("/etc/patch/config.ini", rig.host.read("/etc/patch/config.ini") + MAIL)
    rig.host.output("ip link set lo up")
    rig.arm("colour=blue\n")
    rig.tick("grab-patch", code=2)
    for _ in range(2):
        rig.host.run(["patch-mail", "deliver"])
        equal(len(waiting(rig)), 1, "mails that wait")
    rig.host.remove("/etc/patchflag")
    rig.reboot()
    rig.host.output("ip link set lo up")
    equal(len(waiting(rig)), 1, "mails that wait after a reboot")
    rig.tick("patch-mail", "deliver", "--now", "2036-01-01T00:00:00Z")
    rig.host.output(["mkdir", BOX])
    with rig.neighbour(sys.executable, SMTP, PORT, rig.host.path(BOX)):
        rig.tick("patch-mail", "retry", "--all")
        rig.tick("patch-mail", "deliver")
        rig.tick("patch-mail", "deliver")
    taken = list(rig.host.path(BOX).iterdir())
    equal((len(taken), len(waiting(rig))), (1, 0), "mails taken, and left")
    check("colour" in taken[0].read_text(), "the mail is whole")


def waiting(rig):
    """The mails in the queue."""
    return list(rig.host.path("/var/spool/patch/queue").glob("[!.]*"))
