"""A whole run: armed by touch, patched in the maintenance boot and nowhere else, back at the host's own level, mailed once."""

import re
import tempfile

from tests import site as sites

from . import journal
from .rig import check, equal
from .runner import case

STATES = ["fetching", "staged", "ordered", "starting", "installing", "installed"]


def assert_installed_in_maintenance(rig, line, boots):
    """The witness was written in the boot between the two normal ones, with nothing else running."""
    facts = journal.facts(rig.dated()[-1])
    equal(line["boot"], facts["installed_in"].split("/")[0], "the boot of the installation")
    check(line["boot"] not in (facts["boot"].split("/")[0], facts["back_in"].split("/")[0]), "a boot of its own")
    equal(line["cron"], "none", "cron in the maintenance boot")
    equal(line["level"], {"sysv": "N 1", "systemd": "system-update.target,inactive"}[rig.kind], "the level of the installation")
    equal(len(rig.host.boots), boots + 2, "boots")


def assert_whole(rig):
    """Armed, patched, back, confirmed, mailed, dated."""
    boots = len(rig.host.boots)
    rig.arm()
    rig.tick("grab-patch")
    equal(rig.installs(), [], "installations before the window")
    rig.go()
    rig.finish()
    rig.patched()
    equal(rig.ended(), STATES, "the states of the run")
    equal(journal.facts(rig.dated()[0])["verdict"], "ok", "the verdict")
    check(re.fullmatch(r"patchlog\.\d{6}", rig.names()[-1]) and len(rig.names()) == 1, f"only a dated journal is left: {rig.names()}")
    assert_installed_in_maintenance(rig, rig.installs()[0], boots)
    mail = rig.mails()[0]
    check(journal.runs(rig.dated()[0])[0] in mail["Message-ID"], f"the mail names its run: {mail['Message-ID']}")
    rig.tick("patchit")
    rig.tick("patchit", "--finish")
    equal(len(rig.mails()), 1, "mails after more ticks")


@case()
def armed_by_touch_it_is_patched_at_the_maintenance_level_and_comes_back(rig):
    """The whole of it, at the level that the host has by itself."""
    assert_whole(rig)


@case()
def a_boot_confirms_by_itself_when_the_soak_is_over(rig):
    """init's own patchit stays until then: nobody waits for cron."""
    rig.configure(soak="12s")
    rig.stage()
    rig.go()
    equal(rig.names()[:1], ["patchdone"], "what is up before the soak is over")
    rig.host.wait_for(lambda: "patchdone" not in rig.names(), 60, "the verdict")
    rig.patched()
    check("soak" not in rig.dated()[0], "waiting leaves no record")


@case()
def a_host_comes_back_to_its_own_normal_level(rig):
    """Level 3 on sysvinit, multi-user.target on systemd: not the one that the distribution ships."""
    was = rig.normal
    if rig.kind == "sysv":
        rig.host.output("sed -i s/:2:initdefault:/:3:initdefault:/ /etc/inittab")
        rig.normal = "3"
    else:
        rig.host.output(["systemctl", "set-default", "multi-user.target"])
        rig.normal = "multi-user.target"
    before = rig.host.read("/etc/inittab") if rig.kind == "sysv" else ""
    rig.reboot()
    assert_whole(rig)
    equal(rig.host.read("/etc/inittab") if rig.kind == "sysv" else "", before, "inittab")
    check(rig.normal != was, "another level than the usual one")


@case()
def two_runs_of_a_day_have_a_journal_each(rig):
    """Nothing is overwritten: the second gets `.1`."""
    for _ in range(2):
        rig.works()
    rig.patched(times=2)
    equal(len(rig.names()), 2, f"journals {rig.names()}")
    equal(rig.names()[1], rig.names()[0] + ".1", "the second name")


@case()
def ticks_at_once_do_one_thing(rig):
    """Five grab-patch, then five patchit at the same moment: one works, the others exit 0."""
    rig.arm()
    flock = "for i in 1 2 3 4 5; do ({0}; echo $? >/var/log/case.{1}.$i) & done; wait"
    rig.host.output(flock.format("grab-patch", "grab"))
    codes = [rig.host.read(f"/var/log/case.grab.{n}").strip() for n in range(1, 6)]
    equal(codes, ["0"] * 5, "exit codes of grab-patch")
    equal(journal.states(rig.log()), ["fetching", "staged"], "the states of the one run")
    number = len(rig.host.boots) + 2
    script = flock.format("patchit", "patchit")
    rig.spawn(f"sh -c '{script}'")
    rig.back(number)
    rig.finish()
    rig.patched()
    codes = [rig.host.read(str(path)).strip() for path in (f"/var/log/case.patchit.{n}" for n in range(1, 6))
             if rig.host.exists(path)]
    # The four wait a moment for the one; the host may go down under them before they can say that they had nothing to do.
    equal(codes, ["0"] * len(codes), "exit codes of patchit")
    equal(rig.ended(), STATES, "the states of the run")


@case()
def packages_are_installed_by_apt_in_the_maintenance_boot(rig):
    """A package goes from 1 to 2 with the network gone, its service policy in place; the mail says which."""
    with tempfile.TemporaryDirectory() as debs, sites.Site(rig.site.tools) as shop:
        old = sites.tiny(f"{debs}/old", "1")
        sites.tiny(f"{debs}/new", "2", postinst="runlevel >/var/lib/case.level; pgrep -x cron >>/var/lib/case.level; exit 0")
        shop.apt(f"{debs}/new")
        rig.host.write("/var/lib/old.deb", old.read_bytes())
        rig.host.output("dpkg -i /var/lib/old.deb")
        rig.become_member_of(shop)
        rig.stage()
    version = ["dpkg-query", "-W", "-f", "${Version} ${db:Status-Abbrev}", "tiny"]
    equal(rig.host.output(version).strip(), "1 ii", "the package when it is staged")
    rig.go()
    rig.finish()
    rig.idle()
    equal(rig.host.output(version).strip(), "2 ii", "the package at last")
    equal(rig.ended(), STATES, "the states of the run")
    equal(journal.facts(rig.dated()[0])["changes"], "tiny 1 2", "the changes")
    check(len(rig.mails()) == 1 and "1 package" in rig.subjects()[0], f"mails {rig.subjects()}")
    said = rig.host.read("/var/lib/case.level").split()
    check(rig.kind == "systemd" or said == ["N", "1"], f"the level of the installation, and cron: {said}")
    check(not rig.host.exists("/usr/sbin/policy-rc.d"), "services may start again")
