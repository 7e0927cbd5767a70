"""What patch-status says in every state: a sentence for people, fields for programs, and nothing changed by asking."""

from . import rig as rigs
from .rig import check, equal
from .runner import case


def says(rig, state, sentence, **fields):
    """State, the beginning of the sentence, fields; asking changes nothing, and anybody may ask."""
    names = rig.names()
    status = rig.status()
    equal(status["state"], state, "the state")
    said = rig.tick("patch-status")
    check(said.startswith(sentence), f"the sentence of {state}: {said!r}, not {sentence!r}")
    for key, value in fields.items():
        equal(status.get(key), value, f"{key} of {state}")
    equal(rig.names(), names, "the flags after asking")
    explained = rig.tick("patchit", "--explain")
    check(explained, f"patchit explains {state}")
    equal(rig.names(), names, "the flags after an explanation")


@case()
def patch_status_tells_every_state(rig):
    """From idle to idle, as an administrator sees it."""
    says(rig, "idle", "idle", lock="none configured", maintenance_boot_ordered=False, waits_for=None)
    rig.arm("by=anna\n")
    says(rig, "armed", "armed, waits for grab-patch", waits_for="grab-patch")
    rig.configure(server="/srv/away")
    rig.tick("grab-patch", code=69)
    says(rig, "fetching", "being staged since ")
    rig.configure()
    rig.tick("grab-patch")
    run = rig.run_id()
    says(rig, "staged", "staged ", waits_for="patchit", run=run, maintenance_boot_ordered=False)
    with rig.held_reboot():
        says(rig, "ordered", "maintenance boot ordered ", maintenance_boot_ordered=True)
    rig.host.write(rigs.GATE, "")
    number = len(rig.host.boots) + 2
    rig.host.run(["reboot"])
    rig.host.wait_for(lambda: rig.host.init_pid and rig.host.exists(rigs.REACHED), 60, "the installation")
    says(rig, "installing", "installing since ")
    rig.configure(soak="1h")
    rig.host.remove(rigs.GATE)
    rig.back(number)
    says(rig, "to-be-confirmed", "installed cluster ", run=run)
    rig.configure()
    rig.finish()
    says(rig, "idle", "idle", run=None)
    rig.patched()


# A journal that a killed tool has left, with what is said of it.
LEFT = (("starting", "starting "), ("installing", "installing since "), ("installed", "installed "), ("failing", "failing "),
        ("expiring", "expiring "), ("ending", "ending "), ("failed", "failed "), ("ended", "ended "))


@case("sysv")
def patch_status_tells_what_a_killed_tool_has_left(rig):
    """The rows of the table that are seen for a moment only."""
    rig.stage()
    log = rig.log()
    for state, sentence in LEFT:
        rig.host.write("/etc/patchlog", log)
        rig.append(f"state={state}")
        says(rig, state, sentence)
    rig.host.write("/etc/patchlog", log)
    rig.host.remove("/etc/patchflag")
    says(rig, "called-off", "called off by hand")
    rig.tick("patchit", "--finish")
    rig.called_off()


@case("sysv")
def patch_status_refuses_what_cannot_be_understood(rig):
    """An unfit flag or configuration is 2, with file and line, and nothing is done by any tool."""
    rig.arm("colour=blue\n")
    for argv in (["patch-status"], ["grab-patch"]):
        said = rig.tick(*argv, code=2)
        check("/etc/patchflag:1" in said, f"{argv} names file and line: {said}")
    equal(rig.names(), ["patchflag"], "the flags")
    rig.arm()
    rig.host.write("/etc/patch/config.ini", "[patchit]\nwindoww = 02:00-05:00\n")
    for argv in (["patch-status"], ["grab-patch"], ["patchit"]):
        said = rig.tick(*argv, code=2)
        check("window" in said, f"{argv} names the nearest key: {said}")
    equal(rig.names(), ["patchflag"], "the flags")
    equal(len(rig.mails()), 1, f"one mail a day: {rig.subjects()}")
