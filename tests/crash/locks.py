"""The lock service of a host that can be killed, and what must hold of its locks when the host is at rest.

It is the real one, on the host's own loopback: it starts with each boot, and its store is as old as the rest of the disk. Of a run
that is over, the service has what the journal says: nothing if it was patched or called off, the lock if it has failed.
"""

import contextlib
import json

from tests.chain import journal

from . import guest, records

STORE = "/var/lib/patch-lockd"
LOCK, OWNER = "web", "web01.example.org"
SERVE = "/usr/local/sbin/serve-locks"
CLOSED = "/run/locks-closed"
SECTION = f"""
[lock]
backend = lockd
url = http://127.0.0.1:7424
secret_id = local
secret_file = {STORE}/local.secret
names = {LOCK}
owner = {OWNER}
"""


def serve(host):
    """Have the service start with the host, which is off, and the host's runs take a lock."""
    host.write(SERVE, f"#!/bin/sh\nwhile :; do [ -e {CLOSED} ] || /usr/sbin/patch-lockd; sleep 0.1; done\n", 0o755)
    host.add_service("lockd", SERVE)
    host.write("/etc/patch/config.ini", host.read("/etc/patch/config.ini") + SECTION)


def has_service(host):
    """The host has one."""
    return host.off_path(SERVE).exists()


def ready(host):
    """Wait until it answers; on a host without one there is nothing to wait for."""
    if has_service(host):
        host.wait_for(lambda: call(host, "list").returncode == 0, 20, "the lock service")


@contextlib.contextmanager
def stopped(host):
    """The service is stopped, as by an administrator: its store can be copied or put back, and is not looked at meanwhile."""
    host.output(f"touch {CLOSED}; pkill -x patch-lockd; while pgrep -x patch-lockd >/dev/null; do sleep 0.02; done")
    yield
    host.output(f"rm {CLOSED}")
    ready(host)


def call(host, *words):
    """Ask by the tool itself, for the one in its place obeys plans."""
    return host.run([f"{guest.KIT}/bin/patch-lock", *words])


def told(host):
    """What the service says: the grants that stand, and the events, oldest first."""
    ready(host)
    shown, history = (json.loads(call(host, *words).stdout)
                      for words in (("show", "--json", LOCK), ("history", "--json", "-n", "1000", LOCK)))
    shown = shown if isinstance(shown, list) else [shown]
    return [grant for lock in shown for grant in lock["holders"]], sorted(history, key=lambda event: event["id"])


def take_away(host):
    """What an administrator does to a host that he takes for dead."""
    done = call(host, "force-release", LOCK, "--owner", OWNER, "--by", "anna", "--reason", "test")
    if done.returncode:
        raise RuntimeError(f"cannot take the lock away: {done.stderr}")


class Story:
    """What the journal of one run says of its lock."""

    def __init__(self, text):
        self.run, self.asked, self.decided, self.failed = records.run_of(text), "", False, False
        self.granted, self.mine, self.releasing, self.too_early = set(), set(), set(), set()
        for pairs in map(journal.facts, records.sound(text)):
            self.add(pairs)

    def add(self, pairs):
        """One record."""
        self.asked = pairs.get("locking", self.asked)
        self.decided |= pairs.get("verdict") == "ok" or pairs.get("state") == "ending"
        self.failed |= pairs.get("verdict") == "bad" or pairs.get("state") == "failed"
        for key in ("grant", "releasing", "released", "lost"):
            if key in pairs:
                getattr(self, f"note_{key}")(number_of(pairs[key]))

    def note_grant(self, number):
        """It is held."""
        self.granted.add(number)
        self.mine.add(number)

    def note_releasing(self, number):
        """It is about to be given back; not before it is known that nobody needs it any more."""
        self.releasing.add(number)
        if not self.decided:
            self.too_early.add(number)

    def note_released(self, number):
        """It was given back."""
        self.mine.discard(number)

    note_lost = note_released


def number_of(grant):
    """The number of a grant as the journal spells it."""
    return int(grant.split()[2].removesuffix("-local"))


def faults(texts, held, events):
    """What is wrong with the lock: the journals of the runs that are over, the grants that stand, and the events."""
    stories = [Story(text) for text in texts]
    for story in stories:
        yield from faults_of(story, held, [event for event in events if event["owner"] == OWNER])
    known = {f"patch run {story.run}" for story in stories}
    for grant in held:
        if grant["owner"] != OWNER or grant.get("reason") not in known:
            yield f"the lock is held for nobody: {grant}"


def faults_of(story, held, events):
    """What is wrong with the lock of one run."""
    reason = f"patch run {story.run}"
    begun = {event["number"] for event in events if event["event"] == "granted" and event.get("reason") == reason}
    ended = {what: {event["number"] for event in events if event["event"] == what} & begun for what in ("released", "forced")}
    standing = {grant["number"] for grant in held if grant.get("reason") == reason}
    if story.decided and standing:
        yield f"{reason} is over and has changed nothing or is confirmed, and holds {standing}: a lock has leaked"
    if story.decided and story.mine:
        yield f"{reason} is over, and its journal does not say what became of {story.mine}"
    if story.failed and story.mine - standing:
        yield f"{reason} has failed, and its lock {story.mine - standing} was freed"
    if story.too_early:
        yield f"{reason} released {story.too_early} before it was decided"
    if ended["released"] - story.releasing:
        yield f"{reason} released {ended['released'] - story.releasing} without a record"
    if begun - story.granted and not story.asked:
        yield f"{reason} was granted {begun - story.granted}, and no record knows"
    if story.granted - begun:
        yield f"{reason} says that it was granted {story.granted - begun}, which the service does not know"
    if len(begun) > 1 + len(ended["forced"]):
        yield f"{reason} was granted {sorted(begun)}: more than once"
