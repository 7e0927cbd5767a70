"""Stages of the administrator's own, hooks, and the times that an order and a configuration set."""

from datetime import datetime, timedelta, timezone

from .rig import check, equal
from .runner import case

RAN = "/var/lib/stage.ran"
DUMP = ["patch-stage", "dump", "--", "sh", "-c", f"echo $PATCHFLAG_RUN $PATCHFLAG_INSTALL_DIR >>{RAN}"]


def ends_with(rig, code):
    """A stage whose command ends with this code."""
    return ["patch-stage", "dump", "--", "sh", "-c", f"echo the dump says {code}; exit {code}"]


def ran(rig):
    """How often the stage's command was run."""
    return len(rig.host.read(RAN).splitlines()) if rig.host.exists(RAN) else 0


@case()
def a_stage_is_done_once_in_a_run_and_waited_for(rig):
    """Not before staging, not twice, 69 and 75 pass through and lower nothing; patchit waits for it, then goes."""
    rig.host.remove(RAN)
    rig.configure(after="dump, mirror")
    rig.arm()
    rig.tick(*DUMP)
    equal(ran(rig), 0, "calls before staging")
    rig.tick("grab-patch")
    run = rig.run_id()
    for code in (69, 75):
        rig.tick(*ends_with(rig, code), code=code)
        equal((rig.state(), rig.names()), ("staged", ["patchflag", "patchlog"]), f"state and flags after {code}")
    rig.tick("patchit")
    equal(rig.state(), "staged", "the state, with no stage done")
    equal(rig.status()["waits_for"], "stage dump, mirror", "what patch-status waits for")
    rig.tick(*DUMP)
    rig.tick(*DUMP)
    equal(ran(rig), 1, "calls of the stage")
    knows = rig.host.read(RAN).split()
    equal(knows[0], run, "the run that the stage knows of")
    check(knows[1].startswith("/var/lib/patch/"), f"the install directory that the stage knows of: {knows[1]}")
    equal((rig.status()["waits_for"], rig.status()["stages_done"]), ("stage mirror", ["dump"]), "what is missing, what is done")
    rig.tick("patchit")
    equal(rig.state(), "staged", "the state, with a stage missing")
    # Another program, by patchlog(5): one line, without a sum.
    rig.host.output(f"echo 'time=2026-11-21T02:10:00Z tool=mirror pid=99 run={run} done stage=mirror' >>/etc/patchlog")
    equal(rig.status()["waits_for"], "patchit", "what is waited for at last")
    rig.go()
    rig.finish()
    rig.patched()


@case()
def a_stage_that_fails_stops_the_chain(rig):
    """Disarmed, mailed, dated, patchfailed, on_failure.d; nothing is installed, and the next order works."""
    rig.configure(after="dump")
    rig.host.write("/etc/patch/on_failure.d/tell", "#!/bin/sh\necho \"$PATCHFLAG_RUN $PATCHFLAG_LOG $PATCHFLAG_CAUSE\" >>/var/log/case.told\n",
                   0o755)
    rig.stage()
    run = rig.run_id()
    rig.tick(*ends_with(rig, 4), code=1)
    rig.idle()
    equal(rig.ended(), ["fetching", "staged", "failing", "failed"], "the states of the run")
    check(rig.host.exists("/etc/patchfailed"), "patchfailed is there")
    check(len(rig.mails()) == 1 and "FAILED" in rig.subjects()[0], f"mails {rig.subjects()}")
    check("the dump says 4" in rig.mails()[0].as_string(), "the mail has what the stage said")
    told = rig.host.read("/var/log/case.told")
    check(told.startswith(f"{run} /etc/patchlog.") and "stage dump" in told and told.count("\n") == 1, f"on_failure.d was told: {told}")
    for argv in (DUMP, ["patchit"], ["grab-patch"], ["patchit", "--finish"]):
        equal(rig.tick(*argv), "", f"output of {argv} afterwards")
    equal((rig.installs(), len(rig.mails())), ([], 1), "installations and mails")
    status = rig.status()
    equal((status["state"], status["failed_log"][:14]), ("idle", "/etc/patchlog."), "what patch-status says")
    rig.tick("patch-status", "--clear", code=2)
    check("would remove" in rig.tick("patch-status", "--clear", "--reason", "seen", "-n"), "a rehearsal says so")
    check(rig.host.exists("/etc/patchfailed"), "a rehearsal removes nothing")
    rig.tick("patch-status", "--clear", "--reason", "disk was full")
    check(not rig.host.exists("/etc/patchfailed") and "disk was full" in rig.dated()[0], "cleared, and recorded")
    check("failed_log" not in rig.status(), "patch-status has forgotten it")
    rig.tick("patch-status", "--clear", "--reason", "again")


@case()
def two_stages_at_once_are_one_after_the_other(rig):
    """The host lock lets one work; the other's tick finds somebody at work and exits 0."""
    rig.stage()
    rig.host.remove(RAN)
    rig.spawn(f"patch-stage slow -- sh -c 'echo ran >>{RAN}; until [ -e /var/log/case.go ]; do sleep 0.05; done'")
    rig.host.wait_for(lambda: ran(rig) == 1, 10, "the stage")
    for argv in (DUMP, ["patchit"], ["grab-patch"], ["patchit", "--finish"]):
        rig.tick(*argv)
    equal((ran(rig), rig.state()), (1, "staged"), "calls, and the state")
    rig.host.write("/var/log/case.go", "")
    rig.host.wait_for(lambda: rig.status().get("stages_done") == ["slow"], 10, "the record of the stage")


@case()
def a_stage_that_outlives_its_tool_is_not_started_twice(rig):
    """patch-stage is killed, its command works on; only when that has ended does the next tick run it again."""
    rig.stage()
    rig.host.remove(RAN)
    rig.host.remove("/var/log/case.go")
    slow = f"sh -c 'echo ran >>{RAN}; until [ -e /var/log/case.go ]; do sleep 0.05; done'"
    rig.spawn(f"patch-stage dump -- {slow}")
    rig.host.wait_for(lambda: ran(rig) == 1, 10, "the stage")
    rig.kill("patch-stage")
    for argv in (DUMP, ["patchit"], ["patchit", "--finish"]):
        rig.tick(*argv)
    equal((ran(rig), rig.state()), (1, "staged"), "calls, and the state")
    rig.host.write("/var/log/case.go", "")
    rig.host.wait_for(lambda: "left_at_work" not in rig.status(), 10, "the end of the command")
    rig.tick(*DUMP)
    equal((ran(rig), rig.status()["stages_done"]), (2, ["dump"]), "calls and stages done at last")


@case("sysv")
def a_stage_that_cannot_reach_what_it_needs_is_told_after_the_third_time(rig):
    """69 lowers nothing; one mail after the third in a row, and patch-status says why it waits."""
    rig.configure(after="dump")
    rig.stage()
    for mails in (0, 0, 1, 1):
        rig.tick("patch-stage", "dump", "--", "sh", "-c", "echo the vault is sealed; exit 69", code=69)
        equal((rig.state(), len(rig.mails())), ("staged", mails), "state and mails")
    check("the vault is sealed" in rig.mails()[0].as_string(), "the mail says what the stage said")
    rig.tick(*DUMP)
    equal(rig.status()["waits_for"], "patchit", "what is waited for at last")


@case()
def a_stage_that_does_not_end_is_ended(rig):
    """By TERM at its time-out; then it is a stage that failed."""
    rig.stage()
    rig.tick("patch-stage", "--timeout", "1s", "dump", "--", "sleep", "600", code=1)
    rig.idle()
    check("ended at its deadline" in rig.dated()[-1], "the journal says why")
    equal(rig.host.run(["pgrep", "-f", "^sleep 600"]).returncode, 1, "code of pgrep for what it ran")


@case()
def a_host_that_confirm_d_refuses_is_not_confirmed(rig):
    """Every program must agree. One that does not: patchfailed, the mail says NOT CONFIRMED, and nothing is patched again."""
    rig.host.write("/etc/patch/confirm.d/10-good", "#!/bin/sh\nexit 0\n", 0o755)
    rig.host.write("/etc/patch/confirm.d/20-bad", "#!/bin/sh\necho the shop is closed\nexit 7\n", 0o755)
    rig.stage()
    rig.go()
    rig.finish()
    rig.idle()
    equal(len(rig.installs()), 1, "installations")
    check("verdict=bad" in rig.dated()[0], "the verdict")
    check(len(rig.mails()) == 1 and "NOT CONFIRMED" in rig.subjects()[0], f"mails {rig.subjects()}")
    check("20-bad" in rig.mails()[0].as_string(), "the mail names the program")
    check(rig.host.exists("/etc/patchfailed"), "patchfailed is there")
    rig.host.output("rm /etc/patch/confirm.d/20-bad")
    rig.works()
    check(not rig.host.exists("/etc/patchfailed"), "a confirmed run removes patchfailed")


@case()
def a_service_that_ran_before_and_does_not_now_is_not_confirmed(rig):
    """cron is disabled while patches are installed, as a bad package would do."""
    disable = {"sysv": "update-rc.d cron disable", "systemd": "systemctl disable cron.service"}[rig.kind]
    rig.around(f"{disable}\nexec /usr/sbin/patchit.real")
    rig.stage()
    check("cron" in rig.host.run("pgrep -x cron && echo cron").stdout, "cron runs before")
    rig.go()
    rig.finish()
    rig.idle()
    check("verdict=bad" in rig.dated()[0], "the verdict")
    check("NOT CONFIRMED" in rig.subjects()[0] and "cron" in rig.mails()[0].as_string(), f"mails {rig.subjects()}")


def moment(**shift):
    """A moment as a flag holds it."""
    return (datetime.now(timezone.utc) + timedelta(**shift)).strftime("%Y-%m-%dT%H:%M:%SZ")


@case()
def an_order_has_its_time(rig):
    """not_before stages and waits; not_after ends the run with a mail, staged or not even fetched; a window is kept."""
    rig.arm(f"not_before={moment(hours=1)}\n")
    rig.tick("grab-patch")
    rig.tick("patchit")
    equal(rig.state(), "staged", "the state before not_before")
    check("not_before" in rig.status()["waits_for"], "what is waited for")
    said = rig.tick("patchit", "--now", moment(hours=2))
    check("would order the maintenance boot" in said, f"--now says what would be done later: {said}")
    equal(rig.state(), "staged", "--now has changed nothing")
    rig.host.write("/etc/patchflag", f"not_after={moment(seconds=-1)}\n")
    rig.tick("patchit", "--finish")
    rig.idle()
    equal(rig.ended()[-3:], ["expiring", "ending", "ended"], "how the run ended")
    check(len(rig.mails()) == 1 and "EXPIRED" in rig.subjects()[0], f"mails {rig.subjects()}")
    rig.arm(f"not_after={moment(seconds=-1)}\n")
    rig.tick("grab-patch")
    rig.tick("patchit", "--finish")
    rig.idle()
    equal((len(rig.mails()), len(rig.dated())), (2, 2), "mails and journals")
    hour = datetime.now(timezone.utc).hour
    rig.configure(window=f"{(hour + 2) % 24:02}:00-{(hour + 3) % 24:02}:00")
    rig.arm()
    rig.tick("grab-patch")
    equal(rig.status()["state"], "staged", "one window is [patchit]'s, grab-patch has its own")
    rig.tick("patchit")
    equal(rig.state(), "staged", "the state outside the window")
    check("window" in rig.status()["waits_for"], f"what is waited for: {rig.status()}")
    equal(rig.installs(), [], "installations")


@case()
def a_full_disk_does_not_keep_the_mail_of_a_run(rig):
    """The room that was set aside at staging is for the mail of any end, not only of an installation."""
    rig.stage()
    rig.host.run(["sh", "-c", "cat /dev/zero >/var/tmp/fill; rm /etc/patchflag"])
    rig.tick("patchit", "--finish")
    rig.host.remove("/var/tmp/fill")
    rig.idle()
    check(len(rig.mails()) == 1 and "called off" in rig.subjects()[0], f"mails {rig.subjects()}")
