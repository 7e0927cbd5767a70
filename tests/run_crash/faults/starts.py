"""A reboot does not come, several drivers start, or one starts on another day."""

import subprocess

from tests.hosts.wait import wait_for

from .. import point
from ..host import DIALECTS
from ..scenes import failed, must
from .night import check, goes_on, night, refuses


@night(*DIALECTS)
def a_reboot_that_never_comes_is_waited_for_and_then_a_failure(host):
    """W14: post_update and release without a reboot."""
    host.write("kernel", "")
    must(host, 0)
    (host.folder / "down").unlink()
    for argv in ((), ("--after_reboot",), ()):
        refuses(host, 0, argv=argv)
    host.age(point.BOOT_WAIT)
    for alarms in (1, 1):
        refuses(host, 1, "did not")
        check(alarms == sum(line.script == "on_failure.d/10-alarm" and line.word == "begin" for line in host.lines()), "no one alarm")
    check(host.state() == "post_update\n", f"the state is {host.state()!r}")
    host.boot()
    check(host.run("--after_reboot") == 0, host.errors)
    goes_on(host, kernel=True)


@night()
def a_reboot_that_did_not_come_is_ordered_again_on_demand(host):
    """By writing reboot into the state file, as the message says."""
    host.write("kernel", "")
    must(host, 0)
    (host.folder / "down").unlink()
    host.age(point.BOOT_WAIT)
    refuses(host, 1, "write reboot into the state file")
    host.write("lib/state", "reboot\n")
    refuses(host, 0, runs=["reboot.d/10-now"])
    check((host.folder / "down").exists(), "the host was not told again")


@night(*DIALECTS)
def two_drivers_never_work_at_once(host):
    """Six starts while a script is at work."""
    host.hold("update.d/10-packages")
    process = host.start()
    wait_for(lambda: host.is_at("update.d/10-packages"), 20)
    before = len(host.lines())
    for other in [host.start(*argv) for argv in ((), ("--after_reboot",)) * 3]:
        check(host.finish(other) == 0, f"code {host.codes[-1]}: {host.errors}")
    check(host.run("--abandon", "--reason", "x") == 1, f"abandoned beside a run at work: {host.errors}")
    check(len(host.lines()) == before, "something ran beside a script at work")
    host.let_go("update.d/10-packages")
    check(host.finish(process) == 0, host.errors)
    goes_on(host)


@night()
def many_drivers_at_the_same_moment_do_one_run(host):
    """Eight of them; those that come too late find nothing to do, or somebody at work."""
    for process in [host.start() for _ in range(8)]:
        check(host.finish(process) == 0, f"code {host.codes[-1]}: {host.errors}")
    goes_on(host)


@night(*DIALECTS)
def a_date_never_holds_a_run_that_has_begun(host):
    """W12: a run that was cut short on its day is resumed a month later, with the lock held all the time."""
    failed(host)
    day = subprocess.run(["date", "-d", "tomorrow", "+%a"], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}).stdout.strip()
    tomorrow = ",".join(f"{number}:{day}" for number in range(1, 6))
    check(host.run("--date_constraint", tomorrow) == 0 and host.state() is None, f"it does not go on: {host.errors}")
    (host.folder / "patched").unlink()
    refuses(host, 0, argv=("--date_constraint", tomorrow))
    host.write("patched", "")
    goes_on(host)
