"""What must hold on a host at rest, wherever it was killed. Each finding is a sentence."""

import json
import re

from tests import site

from . import guest, locks
from .records import is_sound, run_of, states
from .stages import days

NORMAL = ("2", "multi-user.target", "graphical.target")
LEFTOVERS = re.compile(r"patch|^\.")
ALLOWED = re.compile(r"^patchlog\.\d{6}(\.\d+)?$|^patchfailed$|^patch$")
# What may follow a state in a journal.
FOLLOWS = {
    "": {"fetching"},
    "fetching": {"fetching", "staged", "failing", "ending", "expiring"},
    "staged": {"ordered", "starting", "failing", "ending", "expiring"},
    "ordered": {"starting", "failing", "ending"},
    "starting": {"installing", "failing", "ending"},
    "installing": {"installed", "failing", "failed"},
    "installed": set(), "failing": {"failed"}, "expiring": {"ending"}, "ending": {"ended"}, "failed": set(), "ended": set(),
}


def judge(host, outcome, before):
    """Everything that is wrong; `before` is what /etc held when the host was armed."""
    if outcome.rest:
        return [f"the run never ends: {outcome.rest}"]
    runs = read_journals(host)
    return [*levels(host), *leftovers(host, before), *archives(host), *records(runs), *lost(outcome, runs),
            *installs(host, runs), *mails(host, outcome, runs), *failures(host, runs),
            *held(host, runs), *status(host)]


def read_journals(host):
    """The text of each dated journal of this host's own runs."""
    etc = host.off_path("/etc")
    texts = {path.name: path.read_text(errors="replace") for path in etc.glob("patchlog.*")}
    return {name: text for name, text in texts.items() if text != guest.OLDER}


def levels(host):
    """Back at the normal level, with nothing ordered at init."""
    if host.level() not in NORMAL:
        yield f"the host is at level {host.level()!r}"
    for link in ("/system-update", "/etc/system-update"):
        if host.off_path(link).is_symlink():
            yield f"{link} is left behind"
    inittab = host.off_path("/etc/inittab")
    if inittab.exists() and inittab.read_text() != host.off_path(f"{guest.KIT}/inittab").read_text():
        yield "/etc/inittab is not what it was"


def leftovers(host, before):
    """Nothing of ours lies about."""
    names = {path.name for path in host.off_path("/etc").iterdir()} - before
    for name in sorted(names):
        if LEFTOVERS.search(name) and not ALLOWED.match(name):
            yield f"/etc/{name} is left behind"
    if host.off_path("/usr/sbin/policy-rc.d").exists():
        yield "policy-rc.d is left behind"
    spool = host.off_path("/var/spool/patch")
    for path in sorted(spool.rglob(".*")) if spool.exists() else ():
        yield f"/{path.relative_to(host.off_path('/'))} is left behind"


def archives(host):
    """What older runs left is as it was."""
    for day in days()[:1]:
        if host.read(f"/etc/patchlog.{day}") != guest.OLDER:
            yield f"/etc/patchlog.{day}, an older run's, was overwritten"


def records(runs):
    """Each journal can be read, and tells of a run that kept to the table and has ended."""
    for name, text in runs.items():
        lines = [line for line in text.split("\n") if line]
        sound = [line for line in lines if is_sound(line) or " stage=" in line]
        # A record may be torn by the kill; nothing else may be odd.
        if len(lines) - len(sound) > 1 or not sound:
            yield f"{name} cannot be read: {[line for line in lines if line not in sound]}"
        was = ""
        for state in states(text):
            if state not in FOLLOWS[was]:
                yield f"{name}: {state} follows {was or 'nothing'}, which the table does not know"
            was = state
        if was not in ("failed", "ended") and not (was == "installed" and " verdict=" in text):
            yield f"{name} ends with {was or 'nothing'} and no verdict"


def lost(outcome, runs):
    """What was in a journal at the kill is in one now."""
    for name, text in outcome.journal.items():
        whole = text[:text.rfind("\n") + 1]
        if whole and text != guest.OLDER and not any(now.startswith(whole) for now in runs.values()):
            yield f"what {name} said at the kill is lost: {whole!r}"


def installs(host, runs):
    """One order, one installation at most; and one at least where the run says so."""
    witness = host.off_path(site.WITNESS)
    done = len(witness.read_text().splitlines()) if witness.exists() else 0
    begun = sum(states(text).count("installing") for text in runs.values())
    if done > 1 or begun > 1:
        yield f"installed {done} times, begun {begun} times, for one order"
    if done > begun:
        yield "installed without a record that it was begun"
    if any("installed" in states(text) for text in runs.values()) and done != 1:
        yield f"a journal says installed; it was done {done} times"


def mails(host, outcome, runs):
    """One mail for each run that has ended, in one place, and none for anybody else; but a tool whose child is killed may live long
    enough to tell of that, as it tells of whatever keeps it from going on."""
    def counts(name):
        return not (outcome.children and name.lstrip("<").startswith("configuration."))

    spool = host.off_path("/var/spool/patch")
    names = [path.name for place in ("queue", "sent", "refused") for path in (spool / place).glob("[!.]*")]
    wanted = sorted(run_of(text) for text in runs.values())
    found = sorted(name for name in names if counts(name))
    if len(found) != len(wanted) or any(run not in name for run, name in zip(wanted, found)):
        yield f"the runs {wanted} have the mails {found}"
    carried = [path.read_text(errors="replace") for path in host.off_path(guest.MAILS).glob("mail.*")]
    ids = [name for text in carried for name in re.findall(r"^Message-I[dD]: *(\S+)", text, re.M)[:1] if counts(name)]
    if len(set(ids)) != len(wanted):
        yield f"{len(wanted)} runs, and sendmail was given {sorted(set(ids))}"
    if len(ids) - len(set(ids)) > 1:
        yield f"sendmail was given {ids}"


def failures(host, runs):
    """Who looks at a host sees that its run has failed, and which journal tells of it."""
    failed = {name for name, text in runs.items() if states(text)[-1:] == ["failed"] or " verdict=bad" in text}
    link = host.off_path("/etc/patchfailed")
    shown = {str(link.readlink())} if link.is_symlink() else set()
    if shown != failed:
        yield f"/etc/patchfailed shows {shown or 'nothing'}, and {failed or 'no run'} has failed"


def held(host, runs):
    """The lock service has what the journals say."""
    if locks.has_service(host):
        yield from locks.faults(runs.values(), *locks.told(host))


def status(host):
    """patch-status knows the host's state."""
    done = host.run(["patch-status", "--json"])
    if done.returncode != 0:
        yield f"patch-status: code {done.returncode}: {done.stderr.strip()}"
    elif json.loads(done.stdout)["state"] != "idle":
        yield f"patch-status says {json.loads(done.stdout)['state']}"
