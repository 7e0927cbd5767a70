"""Installing at the normal level: for hosts whose init has no maintenance boot, and for drivers that reboot by themselves."""

from . import journal
from .rig import FAIL, GATE, REACHED, check, equal
from .runner import case

STATES = ["fetching", "staged", "starting", "installing", "installed"]


def assert_live(rig):
    """Installed at the normal level, in one boot, with nothing ordered at init."""
    line = rig.installs()[0]
    equal(line["cron"], "runs", "cron during the installation")
    check(line["level"] in (f"N {rig.normal}", ",active"), f"the level of the installation: {line}")
    equal(rig.ended(), STATES, "the states of the run")


@case()
def install_live_patches_at_the_normal_level_and_reboots_once(rig):
    """By configuration: one boot instead of two."""
    rig.configure(install="live")
    rig.stage()
    rig.go(boots=1)
    rig.finish()
    rig.patched()
    assert_live(rig)


@case()
def a_driver_reboots_by_itself(rig):
    """`--install live --no-reboot`: patchdone is up, no tick reboots, and the verdict comes after the driver's reboot."""
    rig.stage()
    boots = len(rig.host.boots)
    rig.tick("patchit", "--install", "live", "--no-reboot")
    equal(rig.names()[0], "patchdone", "the flag")
    equal(rig.status()["state"], "to-be-confirmed", "the state")
    for argv in (["patchit"], ["patchit", "--finish"], ["grab-patch"]):
        rig.tick(*argv)
    equal((len(rig.host.boots), len(rig.mails())), (boots, 0), "boots and mails before the driver's reboot")
    assert_live(rig)
    rig.reboot()
    rig.finish()
    rig.patched()
    equal(journal.facts(rig.dated()[0])["verdict"], "ok", "the verdict")


@case()
def a_live_installation_that_fails_is_not_rebooted(rig):
    """Disarmed and mailed; the host stays up."""
    rig.stage()
    rig.host.write(FAIL, "")
    boots = len(rig.host.boots)
    rig.tick("patchit", "--install", "live", code=1)
    rig.idle()
    equal(len(rig.host.boots), boots, "boots")
    equal(rig.ended()[-2:], ["failing", "failed"], "how the run ended")
    check(len(rig.mails()) == 1 and "FAILED" in rig.subjects()[0], f"mails {rig.subjects()}")


@case()
def an_installer_that_outlives_a_killed_patchit_is_waited_for(rig):
    """The host lock has fallen, the installer works on: no tick takes the run for over, or begins another, until it is."""
    rig.stage()
    rig.host.write(GATE, "")
    rig.spawn("patchit --install live")
    rig.host.wait_for(lambda: rig.host.exists(REACHED), 20, "the installer")
    rig.kill("patchit")
    rig.arm()
    for argv in (["patchit", "--finish"], ["patchit"], ["grab-patch"]):
        equal(rig.tick(*argv), "", f"output of {argv}")
    equal((rig.state(), len(rig.mails())), ("installing", 0), "state and mails while the installer works")
    check(rig.status()["left_at_work"] > 1, "patch-status names the process group")
    check("still at work though its tool is gone" in rig.tick("patch-status"), "patch-status says so")
    rig.host.remove(GATE)
    rig.host.wait_for(lambda: "left_at_work" not in rig.status(), 20, "the end of the installer")
    rig.host.remove("/etc/patchflag")
    rig.finish()
    rig.idle()
    equal((len(rig.installs()), rig.ended()[-1]), (1, "failed"), "installations, and how the run ended")
    check(len(rig.mails()) == 1 and "INTERRUPTED" in rig.subjects()[0], f"mails {rig.subjects()}")
