"""The patch server is gone, slow, breaks off, lies, is somebody else, or wants the patches in a place of its own."""

import contextlib
import sys
from pathlib import Path

from tests import site as sites
from tests.chain.rig import check, equal
from tests.chain.runner import case

PORT = 8080
WWW = f"http://127.0.0.1:{PORT}"
BAD_WWW = Path(__file__).with_name("bad_www.py")
WAITS = ["patchflag", "patchlog"]


def still_waits(rig, mails=0):
    """69: the flags are as they were, the next tick tries again."""
    equal((rig.names(), rig.state(), len(rig.mails())), (WAITS, "fetching", mails), "flags, state and mails")


@contextlib.contextmanager
def bad_www(rig, how):
    """A web server with the host's own tree that misbehaves with files of the pool."""
    with rig.neighbour(sys.executable, BAD_WWW, PORT, rig.host.path(sites.TREE), how):
        yield


@case("sysv")
def a_server_that_is_gone_is_waited_for(rig):
    """69 lowers nothing; one mail after the third in a row, and no second; then the server is back."""
    rig.configure(server=WWW, retry_for="0s")
    rig.host.output("ip link set lo up")
    rig.arm()
    for mails in (0, 0, 1, 1, 1):
        rig.tick("grab-patch", code=69)
        still_waits(rig, mails)
        rig.tick("patchit")
    check("127.0.0.1" in rig.mail(), f"the mail names the server: {rig.mail()}")
    with bad_www(rig, "well"):
        rig.tick("grab-patch")
    equal(rig.state(), "staged", "the state when the server is back")


@case("sysv")
def a_server_that_breaks_off_is_waited_for(rig):
    """A file that ends too early is a service that failed; what came is not lost, and not believed."""
    rig.configure(server=WWW)
    rig.arm()
    with bad_www(rig, "truncate"):
        rig.tick("grab-patch", code=69)
        still_waits(rig)
    with bad_www(rig, "well"):
        rig.tick("grab-patch")
    equal(rig.state(), "staged", "the state")
    rig.untouched()


@case("systemd")
def a_slow_server_holds_nobody_up_for_ever(rig):
    """A pause of some seconds is borne. An administrator can call the run off meanwhile."""
    rig.configure(server=WWW)
    rig.arm()
    with bad_www(rig, "slow"):
        rig.tick("grab-patch")
        equal(rig.state(), "staged", "the state")
    rig.untouched()


def refused(rig, *words):
    """The run fails at staging: 1, disarmed, mailed; nothing is installed and no tick does any more."""
    rig.arm()
    rig.tick("grab-patch", code=1)
    rig.failed(*words, "nothing was installed", installs=0)
    rig.untouched()
    for argv in (["grab-patch"], ["patchit"], ["patchit", "--finish"]):
        equal(rig.tick(*argv), "", f"output of {argv} afterwards")
    rig.host.run("rm -rf /etc/patchlog.* /etc/patchfailed /var/spool/patch /var/lib/patch")


def largest(rig):
    """The largest file of the pool."""
    return max(rig.host.path(f"{sites.TREE}/pool").rglob("*"), key=lambda path: path.stat().st_size * path.is_file())


@case("systemd")
def a_server_that_lies_is_not_believed(rig):
    """Other bytes of the same length, a signature by another key, and no entry for this host."""
    path = largest(rig)
    was = path.read_bytes()
    path.write_bytes(was[:-1] + bytes([was[-1] ^ 1]))
    refused(rig)
    path.write_bytes(was[:-5])
    refused(rig)
    path.write_bytes(was)
    key = rig.host.read("/etc/patch/patchflag.pub")
    with sites.Site(rig.site.tools) as stranger:
        rig.host.write("/etc/patch/patchflag.pub", stranger.key)
    refused(rig, "host_type")
    rig.host.write("/etc/patch/patchflag.pub", key)


@case("systemd")
def a_server_that_moves_the_install_directory_to_etc_is_refused(rig):
    """Signed by the right key, and refused all the same, for this host says where clusters may lie."""
    with sites.Site(rig.site.tools) as shop:
        shop.script()
        shop.hosts("* production /etc\n")
        rig.become_member_of(shop)
    before = sorted(path.name for path in rig.host.path("/etc").iterdir())
    refused(rig, "/etc", "base")
    after = sorted(path.name for path in rig.host.path("/etc").iterdir())
    equal([name for name in after if name not in before and not name.startswith("patch")], [], "new files in /etc")
