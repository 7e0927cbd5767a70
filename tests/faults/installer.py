"""The maintenance install hangs, fails, fills the disk, asks, reboots the host, or restarts what runs it."""

import contextlib

from tests.chain.rig import check, equal
from tests.chain.runner import case
from tests.hosts import packages
from tests.hosts.error import LabError



def patch(rig, boots=2):
    """Stage, and go down and come back as if nothing were wrong."""
    rig.stage()
    rig.go(boots)
    rig.finish()


@case()
def an_installer_that_hangs_is_ended_at_the_deadline(rig):
    """TERM is enough; the repair hangs as well and is ended too; the mail says what is left half done."""
    rig.configure(deadline="2s", grace="1s")
    rig.postinst(packages.HANGS)
    patch(rig)
    rig.failed("ended at its deadline", sound=False, installs=len(rig.installs()))
    rig.works_again()


@case("sysv")
def an_installer_that_ignores_term_is_killed(rig):
    """KILL after the grace; nothing of it lives on."""
    rig.configure(deadline="2s", grace="1s")
    rig.postinst(packages.HANGS_STUBBORNLY)
    patch(rig)
    rig.failed("ended at its deadline", sound=False, installs=len(rig.installs()))


@case("systemd")
def an_installer_that_hangs_at_the_normal_level_leaves_nothing_running(rig):
    """`install = live`: no reboot would end it."""
    rig.configure(deadline="2s", grace="1s", install="live")
    rig.postinst(packages.HANGS_STUBBORNLY)
    rig.stage()
    rig.tick("patchit", code=1)
    rig.failed("ended at its deadline", sound=False, installs=len(rig.installs()))
    equal(rig.host.run("pgrep -a 'dpkg|apt'; pgrep -af '[.]postinst'").stdout, "", "processes of the installer")


@case()
def a_package_that_cannot_be_configured_fails_the_run(rig):
    """A post-installation script ends with 1, in the repair as well."""
    rig.postinst(packages.FAILS)
    patch(rig)
    rig.failed("exit code 100", "this package is broken", sound=False, installs=len(rig.installs()))
    rig.works_again()


@case("systemd")
def a_package_that_can_be_repaired_is_repaired_and_the_run_fails_all_the_same(rig):
    """The second attempt succeeds; the mail says both."""
    rig.postinst("[ -e /var/lib/case.once ] || { : >/var/lib/case.once; echo 'not yet' >&2; exit 1; }")
    patch(rig)
    rig.failed("exit code 100", "the package database was repaired", installs=2)
    equal(rig.version(), "2 ii", "the package")


@case()
def an_installer_that_fills_the_disk_leaves_room_to_say_so(rig):
    """Journal, mail and the way back have their room set aside."""
    rig.postinst(packages.FILLS_DISK)
    rig.stage()
    home = rig.host.disk.home
    used = int(rig.host.lab.run("du", "-sk", f"{home}/disk").stdout.split()[0])
    rig.host.lab.run("mount", "-o", f"remount,size={used + 24 * 1024}k", f"{home}/disk")
    rig.go()
    check(rig.host.path("/var/lib/filled").stat().st_size > 4 << 20, "the disk was filled")
    rig.finish()
    rig.host.remove("/var/lib/filled")
    rig.host.lab.run("mount", "-o", "remount,size=512m", f"{home}/disk")
    rig.failed("No space left on device", sound=False, installs=len(rig.installs()))
    rig.works_again()


@case("sysv")
def an_installer_that_asks_gets_no_answer_and_does_not_wait(rig):
    """Its input is closed, and there is no terminal."""
    rig.postinst("(read -r answer </dev/tty) 2>/dev/null && exit 3\n" + packages.ASKS)
    patch(rig)
    rig.failed("exit code 100", "really?", sound=False, installs=len(rig.installs()))


@case("systemd")
def a_configuration_file_that_was_changed_here_is_kept_without_a_question(rig):
    """dpkg would ask; the old one stays, the new one lies beside it, and the mail names it."""
    rig.host.write("/etc/tiny.conf", "version = mine\n")
    patch(rig)
    rig.idle()
    equal(rig.version(), "2 ii", "the package")
    equal(rig.host.read("/etc/tiny.conf"), "version = mine\n", "the administrator's file")
    check("/etc/tiny.conf" in rig.mail() and " patched: " in rig.subjects()[0], f"the mail names it: {rig.mail()}")


RESTARTS = {
    "sysv": "/etc/init.d/patchit restart; invoke-rc.d patchit restart; update-rc.d patchit defaults; true",
    "systemd": "systemctl daemon-reload; deb-systemd-invoke restart patchit.service; systemctl try-restart patchit.service; true",
}


@case()
def a_package_that_restarts_our_service_harms_nothing(rig):
    """As packages do it in their post-installation scripts."""
    rig.postinst(RESTARTS[rig.kind])
    patch(rig)
    rig.idle()
    equal((len(rig.installs()), rig.version()), (1, "2 ii"), "installations, and the package")
    check(" patched: " in rig.mail(), f"the mail {rig.subjects()}")
    rig.nothing_in_the_way()


@case("systemd")
def a_package_that_restarts_the_maintenance_unit_itself_interrupts_the_run(rig):
    """systemd ends patchit with everything below it; the host comes back, and the run is found to be interrupted."""
    rig.postinst("[ -e /var/lib/case.once ] && exit 0; : >/var/lib/case.once; sync\n"
                 "systemctl restart patchit-offline.service; sleep 60")
    patch(rig)
    rig.failed(subject="INTERRUPTED", installs=2)


@case()
def a_package_that_reboots_the_host_is_not_begun_for_ever(rig):
    """Not even by the repair, which runs the same script at the normal level."""
    rig.postinst("sync; reboot; sleep 60")
    rig.stage()
    boots = len(rig.host.boots)
    rig.spawn("patchit")
    rig.host.wait_for(lambda: over(rig), 60, "the end of the run")
    check(len(rig.host.boots) - boots <= 4, f"boots: {len(rig.host.boots) - boots}")
    rig.failed("each attempt was cut short", subject="INTERRUPTED", sound=False, installs=len(rig.installs()))


def over(rig):
    """The run has ended; else cron's tick, which may well be cut short."""
    if not rig.host.init_pid or not rig.is_normal():
        return False
    with contextlib.suppress(LabError):
        rig.host.run(["patchit", "--finish"])
    return rig.host.init_pid and rig.is_normal() and rig.host.exists("/etc/patchfailed")
