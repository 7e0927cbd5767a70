"""Runs the demo and judges it. Three web servers are patched strictly in turn; of two databases the first fails in its
installation, keeps the lock, and so the second stays as it is. A mail from each but the one that waits."""

import json
import statistics
import sys
import time
from pathlib import Path

from tests.demo.fleet import DUMP, NO_SNAPSHOT, Fleet, Member
from tests.demo.timeline import Timeline
from tests.hosts.guard import Guard
from tests.hosts.lab import Lab
from tests.hosts.net import Net
from tests.hosts.turns import holds, overlap

LIMIT = 420
WANTED = {"patched": 3, "failed": 1, "waiting": 1, "mails": 4, "overlap": 0}


def members():
    """A group of web servers, and one of databases, which are dumped before they are patched."""
    return [Member("web01", "sysv", "web"), Member("web02", "systemd", "web"), Member("web03", "sysv", "web"),
            Member("db01", "systemd", "db", DUMP, NO_SNAPSHOT), Member("db02", "sysv", "db", DUMP, NO_SNAPSHOT)]


def say(text=""):
    """A line, at once."""
    print(text, flush=True)


def main():
    began = time.monotonic()
    with Guard(), Lab() as lab:
        outcome, held = run(lab)
    counted = " ".join(f"{name}={value}" for name, value in outcome.items())
    say(f"demo: hosts=5 {counted} seconds={time.monotonic() - began:.0f}")
    if "--json" in sys.argv:
        merge(Path(sys.argv[sys.argv.index("--json") + 1]), {"demo_hold_s": held})
    return 0 if outcome == WANTED else 1


def merge(path, figures):
    """Add figures to those of the benchmarks."""
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, **figures}, indent=2, sort_keys=True) + "\n")


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
        if not timeline.follow(lambda: len(fleet.server.smtp.messages()) >= WANTED["mails"], LIMIT):
            complain(hosts)
        messages = fleet.server.smtp.messages()
        show(messages)
        events = fleet.server.lockd.history()
        return judge(fleet, messages, events), statistics.median(holds(events) or [0])


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


def judge(fleet, messages, events):
    """Count by what is on the hosts and in the history of the lock service, not by what the hosts say."""
    count = lambda judged: sum(1 for member in fleet.members if judged(member))
    return {"patched": count(is_patched), "failed": count(has_failed), "waiting": count(is_waiting),
            "mails": len(messages), "overlap": overlap(events, {})}


def is_patched(member):
    """Really newer packages, confirmed, at the normal level, nothing left behind, two reboots."""
    host = member.host
    left = [name for name in ("patchflag", "patchlog", "patchdone", "patchfailed") if host.exists(f"/etc/{name}")]
    dumped = member.stage != DUMP or host.exists("/var/lib/dump")
    return not left and dumped and member.packages() != member.packages_before and len(host.boots) == 3


def has_failed(member):
    """Failed in the installation: no flag, back at its normal level, its lock kept."""
    host = member.host
    return host.exists("/etc/patchfailed") and not host.exists("/etc/patchflag") and len(host.boots) == 3


def is_waiting(member):
    """Armed and staged, never rebooted, no package touched: the one before it holds the lock."""
    host = member.host
    return (host.exists("/etc/patchflag") and host.exists("/etc/patchlog") and len(host.boots) == 1
            and "waits for lock db" in host.output("patch-status") and member.packages() == member.packages_before)


def complain(hosts):
    """Why it took too long, host by host."""
    for host in hosts:
        say(f"--- {host.name}: {host.run('patch-status; ls /etc/patch*; tail -n 5 /etc/patchlog').stdout}")
        say("\n".join(str(host.log).splitlines()[-20:]))


if __name__ == "__main__":
    sys.exit(main())
