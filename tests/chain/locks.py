"""The lock over a whole run: taken before the order, held through both reboots, released after the confirmation, kept on
failure. The service is a directory of the host's own; the demo has the one that pushes."""

import json

from .rig import FAIL, check, equal
from .runner import case

FOLDER = "/srv/locks"
SECTION = f"\n[lock]\nbackend = dir\ndir = {FOLDER}\nscope = this-host\nnames = web\nowner = {{owner}}\n"
TAKE = ("patch-lock", "acquire", "-p")


def with_lock(rig, owner="web01.example.org"):
    """Configure the lock; nobody holds it."""
    rig.host.run(f"rm -rf {FOLDER}; mkdir {FOLDER}; rm -f /var/lib/patch/grants")
    rig.configure()
    rig.host.write("/etc/patch/config.ini", rig.host.read("/etc/patch/config.ini") + SECTION.format(owner=owner))


def holders(rig):
    """Who holds the lock."""
    shown = json.loads(rig.tick("patch-lock", "show", "--json", "web"))
    locks = shown.get("locks", [shown]) if isinstance(shown, dict) else shown
    return [grant["owner"] for lock in locks for grant in lock["holders"]]


@case()
def the_lock_is_held_through_both_reboots_and_released_after_the_confirmation(rig):
    """patchit goes nowhere without it."""
    with_lock(rig)
    rig.stage()
    check("waits for lock web" in rig.tick("patch-status"), "what it waits for")
    rig.tick("patchit")
    equal((rig.state(), len(rig.host.boots)), ("staged", len(rig.host.boots)), "without the lock")
    rig.tick(*TAKE)
    check("holds dir web" in rig.tick("patch-status"), "that it holds it")
    rig.tick(*TAKE)
    equal(holders(rig), ["web01.example.org"], "holders before the order")
    rig.configure_more("soak", "20s")
    rig.go()
    equal(holders(rig), ["web01.example.org"], "holders between the second reboot and the confirmation")
    rig.configure_more("soak", "1s")
    rig.finish()
    rig.patched()
    equal(holders(rig), [], "holders in the end")


@case()
def a_failed_installation_keeps_the_lock_for_the_others_sake(rig):
    """Until an administrator releases it, by the command that the mail has."""
    with_lock(rig)
    rig.stage()
    rig.tick(*TAKE)
    rig.host.write(FAIL, "")
    rig.go()
    rig.host.wait_for(lambda: rig.mails(), 20, "the mail")
    equal(holders(rig), ["web01.example.org"], "holders after the failure")
    text = rig.mails()[0].get_body(("plain",)).get_content()
    check("patch-lock release web" in text.replace("\n", " "), f"the mail says how: {text}")
    rig.tick("patch-lock", "release", "web")
    equal(holders(rig), [], "holders after the release by hand")


@case()
def a_lock_of_somebody_else_s_is_waited_for_and_a_run_called_off_leaves_the_queue(rig):
    """75 while another owner has it; rm of the flag ends the run, and the lock of the other stays."""
    with_lock(rig, "web02.example.org")
    rig.tick("patch-lock", "acquire", "web")
    rig.host.remove("/var/lib/patch/grants")  # what this host's people have taken themselves is not waited for
    rig.host.write("/etc/patch/config.ini", rig.host.read("/etc/patch/config.ini").replace("web02.", "web01."))
    rig.stage()
    rig.tick(*TAKE, code=75)
    said = rig.tick("patch-lock", "why")
    check("web02.example.org" in said, f"it says who holds it: {said}")
    rig.tick("patchit")
    equal(rig.state(), "staged", "state")
    rig.host.remove("/etc/patchflag")
    rig.finish()
    equal(holders(rig), ["web02.example.org"], "holders in the end")


@case()
def a_run_called_off_after_the_lock_gives_it_back(rig):
    """Nothing was changed: nobody has to wait for this host."""
    with_lock(rig)
    rig.stage()
    rig.tick(*TAKE)
    rig.host.remove("/etc/patchflag")
    rig.finish()
    equal(holders(rig), [], "holders in the end")
    equal(len(rig.mails()), 1, "mails")
