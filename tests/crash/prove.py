"""Proof that the judge can find fault: a host at rest is damaged in each way that a kill might damage it."""

import shutil

from tests import site
from tests.chain import journal

from . import guest, judge, locks, records
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


def lines(path, change):
    """Change the records of a journal, their sums with them."""
    old = [line.rpartition(" sum=")[0] for line in path.read_text().splitlines()]
    path.write_text("".join(journal.signed(line) for line in change(old)))


def without(*words):
    """No record with one of these."""
    return lambda old: [line for line in old if not any(word in line for word in words)]


def early(old):
    """The lock was released before the verdict."""
    released = [line for line in old if " releas" in line]
    rest = [line for line in old if line not in released]
    verdict = next(number for number, line in enumerate(rest) if " verdict=" in line)
    return rest[:verdict] + released + rest[verdict:]


def take(host):
    """The lock is taken in the name of the run that is over."""
    run = records.run_of(dated(host).read_text())
    done = locks.call(host, "acquire", locks.LOCK, "--reason", f"patch run {run}")
    if done.returncode:
        raise RuntimeError(f"cannot take the lock: {done.stderr}")


def take_twice(host):
    """The run has had two grants, and has recorded both well."""
    was = max(event["number"] for event in locks.told(host)[1])
    take(host)
    locks.call(host, "release", locks.LOCK)
    now = max(event["number"] for event in locks.told(host)[1])
    again = [f"lockd {locks.LOCK} {number} {locks.OWNER}" for number in (was, now)]
    said = (" grant=", " releas")
    lines(dated(host), lambda old: [new for line in old for new in (
        [line, line.replace(*again)] if any(word in line for word in said) else [line])])


# Each is seen by what is asked of locks alone.
LOCK_DAMAGES = {
    "a lock leaked": take,
    "a lock freed early": lambda host: lines(dated(host), early),
    "a lock released without a record": lambda host: lines(dated(host), without(" releasing=", " released=")),
    "a release that was not recorded": lambda host: lines(dated(host), without(" released=")),
    "a grant without a record": lambda host: lines(dated(host), without(" grant=", " releasing=", " released=", " locking=")),
    "a grant that nobody gave": lambda host: lines(dated(host), lambda old: [
        line.replace("lockd web 1 ", "lockd web 9 ") for line in old]),
    "the lock of a failed run freed": lambda host: lines(dated(host), lambda old: [
        line.replace("verdict=ok", "verdict=bad") for line in without(" releasing=", " released=")(old)]),
    "granted twice": take_twice,
    "held by a stranger to the run": lambda host: locks.call(host, "acquire", locks.LOCK, "--reason", "something else"),
}
KEPT = ("/etc/patch*", "/var/spool/patch", "/var/lib/witness", "/var/lib/mail-witness", "/var/lib/patch")
LEFT = ("/etc/.patch*", "/system-update", "/usr/sbin/policy-rc.d")
KEEP = f"mkdir -p {guest.KIT}/kept && tar -cpf {guest.KIT}/kept.tar $(ls -d {' '.join(KEPT)} 2>/dev/null)"
RESTORE = f"rm -rf {' '.join(KEPT + LEFT)}; tar -C / -xpf {guest.KIT}/kept.tar"
# The files of a service that is stopped.
KEEP_STORE = f"tar -cpf {guest.KIT}/store.tar {locks.STORE}"
RESTORE_STORE = f"rm -rf {locks.STORE}; tar -C / -xpf {guest.KIT}/store.tar"


class Proof:
    """The damages that the judge has not seen; a sound host that it finds fault with is one of them."""

    def __init__(self, lab, world, stage, before):
        self.world, self.before = world, before
        self.damages = DAMAGES | (LOCK_DAMAGES if world.locks else {})
        self.missed, self.told = [], None
        with lab.host("proof", world.kind, stage.layers) as host:
            self.prove(host)

    def __str__(self):
        return f"judge: damages={len(self.damages)} caught={len(self.damages) - len(self.missed)}"

    def prove(self, host):
        """Damage the host in each way, and mend it again."""
        host.boot()
        outcome = Outcome(True, {}, recover(host, self.world.kind))
        outcome.journal = journals(host)
        self.judge_sound(host, outcome, "a sound host")
        host.output(KEEP)
        if self.world.locks:
            with locks.stopped(host):
                host.output(KEEP_STORE)
            self.told = locks.told(host)
        for name, damage in self.damages.items():
            damage(host)
            runs = judge.read_journals(host)
            found = judge.held(host, runs) if name in LOCK_DAMAGES else judge.judge(host, outcome, self.before)
            if not list(found):
                self.missed.append(f"the judge does not see: {name}")
            self.mend(host)
        self.judge_sound(host, outcome, "a mended host")

    def judge_sound(self, host, outcome, what):
        """Nothing may be found where nothing is wrong."""
        if found := list(judge.judge(host, outcome, self.before)):
            self.missed.append(f"the judge finds fault with {what}: {found}")

    def mend(self, host):
        """As it was; a service that knows better is stopped, and started again with the old store."""
        host.output(RESTORE)
        if self.world.locks and locks.told(host) != self.told:
            with locks.stopped(host):
                host.output(RESTORE_STORE)
