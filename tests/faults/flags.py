"""`patchflag` is not what an administrator's touch makes: refused by everybody, and nothing is changed."""

import re
import shlex

from tests.chain.rig import check, equal
from tests.chain.runner import case

F = "/etc/patchflag"
UNFIT = {
    "a directory": f"mkdir {F}",
    "a dangling link": f"ln -s /nowhere {F}",
    "a link to passwd": f"ln -s /etc/passwd {F}",
    "a FIFO": f"mkfifo {F}",
    "1 GiB": f"truncate -s 1G {F}",
    "binary": f"head -c 4096 /dev/urandom >{F}",
    "a stranger's": f"touch {F}; chown nobody {F}",
    "writable by the group": f"touch {F}; chmod g+w {F}",
    "writable by all": f"touch {F}; chmod 666 {F}",
}
TOOLS = (["grab-patch"], ["patchit"], ["patchit", "--finish"], ["patch-stage", "dump", "--", "touch", "/var/lib/case.ran"])
SEPARATOR = "=== exit code "
STATE = "stat -c '%n %F %s %U %a' /etc/patch* /etc/passwd /etc/inittab 2>/dev/null; cksum /etc/passwd"


def state(rig):
    """All that could have been changed."""
    return rig.host.run(STATE).stdout, rig.trigger(), rig.installs(), rig.version()


def refuses(rig, what, tools):
    """Each tool exits 2, or 0 if it has no business with the flag; nothing changes; one mail a day, however often they tick."""
    before, boots = state(rig), len(rig.host.boots)
    codes = dict(attempt(rig, what, [*tools, *tools]))
    equal(state(rig), before, f"{what}: the state")
    check(not rig.host.exists("/var/lib/case.ran"), f"{what}: no stage has run")
    equal(len(rig.host.boots), boots, f"{what}: boots")
    return codes


def attempt(rig, what, tools):
    """Each tool and its exit code, in one call of the host's shell."""
    said = rig.host.run("; ".join(f"timeout 20 {shlex.join(argv)} 2>&1; echo \"{SEPARATOR}$?\"" for argv in tools)).stdout
    for argv, (words, code) in zip(tools, re.findall(rf"(?s)(.*?){SEPARATOR}(\d+)\n", said), strict=True):
        check(int(code) in (0, 2), f"{what}: {argv} exits {code}: {words}")
        check(int(code) == 0 or F in words, f"{what}: {argv} names the flag: {words}")
        yield " ".join(argv), int(code)


@case("sysv")
def an_unfit_flag_is_refused_before_anything_has_begun(rig):
    """Idle but for the flag: grab-patch says 2, and mails once."""
    for what, make in UNFIT.items():
        rig.host.output(make)
        codes = refuses(rig, what, TOOLS)
        equal(codes["grab-patch"], 2, f"{what}: exit code of grab-patch")
        equal(len(rig.mails()), 1, f"{what}: mails {rig.subjects()}")
        rig.host.run(f"rm -rf {F} /var/spool/patch")


@case("systemd")
def an_unfit_flag_beside_a_staged_run_is_refused(rig):
    """patchit says 2 and orders nothing, in spite of the journal; a fit flag is followed then."""
    rig.stage()
    for what, make in UNFIT.items():
        rig.host.output(f"rm -rf {F} /var/spool/patch; {make}")
        codes = refuses(rig, what, TOOLS)
        equal(codes["patchit"], 2, f"{what}: exit code of patchit")
        equal(len(rig.mails()), 1, f"{what}: mails {rig.subjects()}")
    rig.host.run(f"rm -rf {F} /var/spool/patch; touch {F}")
    rig.go()
    rig.finish()
    rig.patched()


@case("sysv")
def a_flag_that_only_root_can_read_is_a_good_one(rig):
    """Mode 000 is unreadable for everybody but root, and tools are root's."""
    rig.host.output(f"touch {F}; chmod 000 {F}")
    rig.tick("grab-patch")
    equal(rig.state(), "staged", "the state")
