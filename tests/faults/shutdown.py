"""The shutdown to the maintenance boot hangs: the run fails and says so; the host is never found at the maintenance level later."""

from tests.chain.rig import equal
from tests.chain.runner import case

SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: hangs
# Required-Start: $remote_fs
# Required-Stop: $remote_fs
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
[ "$1" != stop ] || while [ ! -e /var/lib/case.go ]; do sleep 0.1; done
"""
UNIT = """[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=true
ExecStop=/bin/sh -c 'while [ ! -e /var/lib/case.go ]; do sleep 0.1; done'
TimeoutStopSec=infinity
[Install]
WantedBy=multi-user.target
"""


def hang(rig):
    """Make a service that does not stop."""
    if rig.kind == "sysv":
        rig.host.write("/etc/init.d/hangs", SCRIPT, 0o755)
        rig.host.output("update-rc.d hangs defaults && mv /etc/rc6.d/K*hangs /etc/rc6.d/K00hangs; rm -f /etc/rc6.d/.depend*")
    else:
        rig.host.write("/etc/systemd/system/hangs.service", UNIT)
        rig.host.output("systemctl daemon-reload && systemctl enable --now hangs.service")


@case()
def a_shutdown_that_hangs_fails_the_run(rig):
    """The order is taken back while the host still hangs; when it gets through at last, it comes to the normal level."""
    hang(rig)
    rig.configure(boot_wait="3s")
    rig.stage()
    number = len(rig.host.boots) + 1
    rig.spawn("patchit")
    rig.host.wait_for(lambda: rig.host.exists("/etc/patchfailed"), 20, "the end of the run")
    equal(rig.trigger(), "", "the order at init")
    rig.host.write("/var/lib/case.go", "")
    rig.back(number)
    rig.finish()
    rig.failed("the shutdown hangs", installs=0)
    rig.untouched()
    rig.site = None


@case("systemd")
def a_shutdown_that_takes_long_is_waited_for(rig):
    """Shorter than boot_wait, it only takes its time."""
    hang(rig)
    rig.stage()
    number = len(rig.host.boots) + 2
    rig.spawn("patchit")
    rig.host.wait_for(lambda: rig.state() == "ordered" and rig.trigger(), 20, "the order")
    rig.host.run(["patchit", "--finish"])
    rig.host.write("/var/lib/case.go", "")
    rig.back(number)
    rig.finish()
    equal((len(rig.installs()), rig.version()), (1, "2 ii"), "installations, and the package")
    rig.idle()
    rig.site = None
