"""Runs the demo and judges it: three hosts patched, one disarmed and unpatched, a mail from each."""

import sys
import time

from tests.demo.fleet import DUMP, FULL, IN_A_ROW, Fleet, Member
from tests.demo.timeline import Timeline
from tests.hosts.guard import Guard
from tests.hosts.lab import Lab
from tests.hosts.net import Net

LIMIT = 420


def members():
    """Two of each init; one database is dumped before it is patched, the other has no room for its dump."""
    return [Member("web01", "sysv"), Member("web02", "systemd"),
            Member("db01", "systemd", DUMP, IN_A_ROW), Member("db02", "sysv", FULL, IN_A_ROW)]


def say(text=""):
    """A line, at once."""
    print(text, flush=True)


def main():
    began = time.monotonic()
    with Guard(), Lab() as lab:
        outcome = run(lab)
    patched, failed, mails = outcome
    say(f"demo: hosts=4 patched={patched} failed={failed} mails={mails} seconds={time.monotonic() - began:.0f}")
    return 0 if outcome == (3, 1, 4) else 1


def run(lab):
    """The whole show; what it counted."""
    with Fleet(Net(lab), members(), say) as fleet:
        prepare(fleet)
        wait_for_the_end_of_the_minute()
        for member in fleet.members:
            member.host.write("/etc/patchflag", "by=demo\nreason=the monthly round\n")
            say(f"   armed  {member.name}: touch /etc/patchflag")
        hosts = [member.host for member in fleet.members]
        timeline = Timeline(hosts, say)
        if not timeline.follow(lambda: len(fleet.server.smtp.messages()) >= len(hosts), LIMIT):
            complain(hosts)
        messages = fleet.server.smtp.messages()
        show(messages)
        return judge(fleet, messages)


def prepare(fleet):
    """Everything before the night, with a line a step."""
    for text, step in (("pulled the cluster", fleet.pull), ("booted the patch server", fleet.serve),
                       ("booted the hosts", fleet.boot)):
        began = time.monotonic()
        step()
        say(f"{text} in {time.monotonic() - began:.1f} s")


def wait_for_the_end_of_the_minute():
    """cron works on the minute: to start late in one is to wait less."""
    wait = (52 - time.time()) % 60
    if wait < 45:
        time.sleep(wait)


def show(messages):
    """The mails as the administrator sees them: who, what, and the first lines."""
    for message in messages:
        say()
        say(f"Subject: {message['Subject']}")
        body = message.get_body(("plain",)).get_content().splitlines()
        for line in body[:18]:
            say(f"  {line}".rstrip())


def judge(fleet, messages):
    """Count by what is on the hosts, not by what they say."""
    patched = sum(1 for member in fleet.members if is_patched(member))
    failed = sum(1 for member in fleet.members if is_disarmed(member))
    return patched, failed, len(messages)


def is_patched(member):
    """Really newer packages, confirmed, at the normal level, nothing left behind, two reboots."""
    host = member.host
    left = [name for name in ("patchflag", "patchlog", "patchdone", "patchfailed") if host.exists(f"/etc/{name}")]
    dumped = member.stage != DUMP or host.exists("/var/lib/dump")
    return not left and dumped and member.packages() != member.packages_before and len(host.boots) == 3


def is_disarmed(member):
    """Failed before the first change: no flag, never rebooted, no package touched."""
    host = member.host
    return (host.exists("/etc/patchfailed") and not host.exists("/etc/patchflag")
            and len(host.boots) == 1 and member.packages() == member.packages_before)


def complain(hosts):
    """Why it took too long, host by host."""
    for host in hosts:
        say(f"--- {host.name}: {host.run('patch-status; ls /etc/patch*; tail -n 5 /etc/patchlog').stdout}")
        say("\n".join(str(host.log).splitlines()[-20:]))


if __name__ == "__main__":
    sys.exit(main())
