"""Proof that the judge can find fault: a host at rest is damaged in each way that a kill might damage it."""

import shutil

from tests import site

from . import guest, judge
from .point import Outcome, journals, recover


def dated(host):
    """The journal of the run that this host has had."""
    return host.off_path("/etc") / next(iter(judge.read_journals(host)))


def append(path, text):
    """Add to a file of the host."""
    path.write_text((path.read_text() if path.exists() else "") + text)


def drop(path):
    """Remove a file of the host."""
    path.unlink()


def mail(host, place):
    """The mail of the run in a folder of the spool."""
    return next((host.off_path("/var/spool/patch") / place).glob("[!.]*"))


def install_again(path):
    """The installation is recorded a second time, with right sums, as a second tick would."""
    lines = path.read_text().splitlines(keepends=True)
    begun = next(line for line in lines if " state=installing" in line)
    path.write_text("".join([*lines[:-1], begun, *lines[-1:]]))


DAMAGES = {
    "installed twice": lambda host: append(host.off_path(site.WITNESS), "installed by another at init\n"),
    "begun twice": lambda host: install_again(dated(host)),
    "journal lost": lambda host: drop(dated(host)),
    "journal cut": lambda host: dated(host).write_text(dated(host).read_text()[:-200]),
    "journal scribbled over": lambda host: dated(host).write_text(dated(host).read_text().replace("staged", "stagex")),
    "archive overwritten": lambda host: append(host.off_path(f"/etc/patchlog.{judge.days()[0]}"), "x"),
    "mail lost": lambda host: drop(mail(host, "sent")),
    "mail doubled": lambda host: shutil.copy(mail(host, "sent"), host.off_path("/var/spool/patch/queue/another")),
    "mail never carried": lambda host: drop(next(host.off_path(guest.MAILS).glob("mail.*"))),
    "a draft left": lambda host: append(host.off_path("/etc/.patchdone.draft"), ""),
    "policy left": lambda host: append(host.off_path("/usr/sbin/policy-rc.d"), ""),
    "trigger left": lambda host: host.off_path("/system-update").symlink_to("/var/lib/patch/system-update"),
    "a journal of another kind": lambda host: append(host.off_path("/etc/patchlog"), "state=strange\n"),
    "a failure shown that was none": lambda host: host.off_path("/etc/patchfailed").symlink_to(dated(host).name),
    "flag up": lambda host: append(host.off_path("/etc/patchdone"), ""),
}


def prove(lab, kind, stage, before):
    """The damages that the judge has not seen; a sound host that it finds fault with is one of them."""
    missed = []
    with lab.host("proof", kind, stage.layers) as host:
        host.boot()
        outcome = Outcome(True, {}, recover(host, kind))
        outcome.journal = journals(host)
        sound = list(judge.judge(host, outcome, before))
        if sound:
            missed.append(f"a sound host: {sound}")
        host.run("cp -a /etc /opt/crash/etc-kept; cp -a /var/lib /opt/crash/lib-kept; cp -a /var/spool/patch /opt/crash/spool-kept")
        for name, damage in DAMAGES.items():
            damage(host)
            if not list(judge.judge(host, outcome, before)):
                missed.append(name)
            host.run("""rm -rf /etc/patch* /etc/.patch* /system-update /usr/sbin/policy-rc.d /var/spool/patch /var/lib/witness /var/lib/mail-witness
                cp -a /opt/crash/etc-kept/patch* /etc/; cp -a /opt/crash/spool-kept /var/spool/patch
                cp -a /opt/crash/lib-kept/witness /opt/crash/lib-kept/mail-witness /var/lib/""")
        if list(judge.judge(host, outcome, before)):
            missed.append("the damages were not undone")
    return missed
