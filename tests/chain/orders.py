"""A second order in every state: the run under way ends as it should, and the new order is followed as a run of its own."""

from . import journal, rig as rigs
from .rig import check, equal
from .runner import case


@case()
def touch_while_the_run_is_on_its_way_is_the_same_order(rig):
    """Before the first change there is one flag, however often it is touched: one run, one installation, one mail."""
    rig.configure(server="/srv/away")
    rig.arm()
    rig.arm()
    rig.tick("grab-patch", code=69)
    rig.arm()
    rig.configure()
    rig.tick("grab-patch")
    rig.arm()
    run = rig.run_id()
    with rig.held_reboot():
        rig.arm()
        rig.kill("patchit")
    equal((rig.state(), rig.run_id()), ("ordered", run), "state and run")
    number = len(rig.host.boots) + 2
    rig.host.run(["reboot"])
    rig.back(number)
    rig.finish()
    rig.patched()
    equal(rig.installs()[0]["run"], run, "the run")


@case()
def touch_during_the_installation_is_a_new_order(rig):
    """The flag was lowered before the first change, so one that comes up then is new: it gets a run, once the first is over."""
    rig.stage()
    rig.host.write(rigs.GATE, "")
    number = len(rig.host.boots) + 2
    rig.spawn("patchit")
    rig.host.wait_for(lambda: rig.host.init_pid and rig.host.exists(rigs.REACHED), 60, "the installation")
    equal((rig.names(), rig.state()), (["patchlog"], "installing"), "the flags during the installation")
    rig.arm()
    rig.host.remove(rigs.GATE)
    rig.back(number)
    rig.finish()
    equal(rig.status()["state"], "armed", "the state when the first run is over")
    equal(len(rig.mails()), 1, "mails of the first run")
    equal(rig.ended()[-1], "installed", "how the first run ended")
    rig.tick("grab-patch")
    rig.go()
    rig.finish()
    rig.patched(times=2)


@case()
def touch_before_the_confirmation_waits_for_it(rig):
    """With patchdone up nothing is fetched; the verdict comes first."""
    rig.configure(soak="1h")
    rig.stage()
    rig.go()
    rig.tick("patchit", "--finish")
    check(rig.host.exists("/etc/patchdone"), "installed, not confirmed")
    rig.arm()
    for argv in (["grab-patch"], ["patchit"], ["patchit", "--finish"]):
        rig.tick(*argv)
        equal(rig.names()[:2], ["patchdone", "patchflag"], f"flags after {argv}")
    equal(rig.status()["state"], "to-be-confirmed", "the state")
    rig.reboot()
    equal(len(rig.installs()), 1, "installations after another reboot")
    rig.configure()
    rig.finish()
    equal((rig.status()["state"], len(rig.mails())), ("armed", 1), "the state after the verdict, and its mail")
    follow(rig, rig.installs()[0]["run"], "flag beside patchdone")


# What a killed tool leaves, record by record behind `staged`; how the run must end, what its mail says, and whether a flag
# that is up is the run's own (it is lowered) or a new order (it stays).
LEFT = (
    (["ordered boot={other}", "starting installed_in={other}"], "failed", "FAILED", False),
    (["ordered boot={other}", "starting", "installing"], "failed", "INTERRUPTED", True),
    (["failing cause=probe"], "failed", "FAILED", False),
    (["expiring cause=probe"], "ended", "EXPIRED", False),
    (["ending"], "ended", "called off", True),
    (["failing cause=probe", "failed"], "failed", None, True),
    (["ending", "ended"], "ended", None, True),
)


@case()
def touch_in_every_other_state_is_told_from_the_old_order(rig):
    """Each state that a killed tool can leave, with the flag up: the old run ends, installs nothing, and mails at most once."""
    for left, ends, subject, is_new in LEFT:
        words = f"flag beside {left[-1]}"
        rig.host.run("rm -rf /var/spool/patch /etc/patchlog.*")
        rig.stage()
        old = rig.run_id()
        leave(rig, left)
        rig.host.run(["patchit", "--finish"])
        rig.host.run(["patchit", "--finish"])
        equal(rig.ended()[-1], ends, f"{words}: how the run ended")
        equal(rig.status()["state"], "armed" if is_new else "idle", f"{words}: the state")
        subjects = rig.subjects()
        check(subject in subjects[0] if subject else subjects == [], f"{words}: mails {subjects}")
        equal(len(subjects), int(subject is not None), f"{words}: mails")
        equal(rig.installs(), [], f"{words}: installations")
        if is_new:
            follow(rig, old, words)


def leave(rig, left):
    """Go on with the journal as a tool did that was killed then, in a boot before this one."""
    for record in left:
        rig.append("state=" + record.format(other="00000000-0000-0000-0000-000000000000/1"))


def follow(rig, old, words):
    """The new order gets a run of its own, which is then called off."""
    rig.tick("grab-patch")
    check(rig.run_id() != old, f"{words}: a run of its own")
    equal(journal.states(rig.log()), ["fetching", "staged"], f"{words}: its states")
    rig.host.remove("/etc/patchflag")
    rig.host.run(["patchit", "--finish"])
    rig.idle()


@case()
def touch_beside_an_installed_run_waits_for_its_reboot_and_verdict(rig):
    """Killed between `installed` and patchdone: the flags are set, the reboot is given, and then comes the new order."""
    rig.stage()
    rig.append("state=ordered boot=00000000-0000-0000-0000-000000000000/1 level=" + rig.normal)
    rig.append("state=starting installed_in=00000000-0000-0000-0000-000000000000/2")
    rig.append("state=installing")
    rig.append("state=installed")
    rig.host.run(["patchit", "--finish"])
    rig.finish()
    equal(rig.status()["state"], "armed", "the state")
    equal(len(rig.mails()), 1, "mails")
    check(" patched: " in rig.subjects()[0], rig.subjects())
    rig.tick("grab-patch")
    rig.go()
    rig.finish()
    equal(len(rig.installs()), 1, "installations of the new order")
    rig.idle()


@case()
def an_interrupted_installation_is_told_and_not_begun_again(rig):
    """A power cut in the middle. The next boot ends the run by itself, without a tick of cron's."""
    rig.stage()
    rig.host.write(rigs.GATE, "")
    rig.spawn("patchit")
    rig.host.wait_for(lambda: rig.host.init_pid and rig.host.exists(rigs.REACHED), 60, "the installation")
    rig.host.power_cut()
    rig.host.remove(rigs.GATE)
    number = len(rig.host.boots) + 1
    rig.host.start()
    rig.back(number)
    rig.host.wait_for(lambda: "patchlog" not in rig.names(), 10, "the end of the run")
    rig.idle()
    equal(len(rig.installs()), 1, "installations")
    equal(rig.ended()[-2:], ["installing", "failed"], "how the run ended")
    check(len(rig.mails()) == 1 and "INTERRUPTED" in rig.subjects()[0], f"mails {rig.subjects()}")
    check(rig.host.exists("/etc/patchfailed"), "patchfailed is there")
    rig.works()
    check(not rig.host.exists("/etc/patchfailed"), "a confirmed run removes patchfailed")


@case()
def a_failed_installation_comes_back_disarmed_and_mailed(rig):
    """The install program says no: no patchdone, patchfailed, one mail, the normal level, and nothing is tried again."""
    rig.host.write("/etc/patch/on_failure.d/tell", "#!/bin/sh\necho \"$PATCHFLAG_RUN $PATCHFLAG_CAUSE\" >>/var/log/case.told\n", 0o755)
    rig.stage()
    rig.host.write(rigs.FAIL, "")
    rig.go()
    rig.finish()
    rig.idle()
    equal(len(rig.installs()), 1, "installations")
    equal(rig.ended()[-3:], ["installing", "failing", "failed"], "how the run ended")
    check(len(rig.mails()) == 1 and "FAILED" in rig.subjects()[0], f"mails {rig.subjects()}")
    check("cannot install this" in rig.mails()[0].as_string(), "the mail has what the installer said")
    check("exit code 3" in rig.host.read("/var/log/case.told"), "on_failure.d knows the cause")
    equal(len(rig.host.read("/var/log/case.told").splitlines()), 1, "calls of on_failure.d")
    rig.reboot()
    equal(len(rig.installs()), 1, "installations after another reboot")
