"""The live timeline: what each host's journal says, the moment that it says it."""

import re
import time

STATES = {"fetching": "fetching its cluster", "staged": "staged: verified, unpacked, dry-run",
          "ordered": "going down into the maintenance boot", "installing": "installing",
          "installed": "installed, rebooting", "failing": "FAILED", "ended": "called off"}
RECORD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')


class Timeline:
    """Follows the journals of some hosts and prints what is new."""

    def __init__(self, hosts, say):
        self.hosts, self.say = hosts, say
        self.told = {host.name: set() for host in hosts}
        self.boots = {host.name: len(host.boots) for host in hosts}
        self.began = time.monotonic()

    def follow(self, over, timeout):
        """Look until `over` says so; true if it did in time."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.look()
            if over():
                self.look()
                return True
            time.sleep(0.5)
        return False

    def look(self):
        """Print what has happened since the last look."""
        for host in self.hosts:
            for line in journal(host):
                if line not in self.told[host.name]:
                    self.told[host.name].add(line)
                    self.tell(host, line)
            if len(host.boots) != self.boots[host.name]:
                self.boots[host.name] = len(host.boots)
                self.event(host, f"boot {len(host.boots)}")

    def tell(self, host, line):
        """One record of a journal, in words."""
        record = {key: value.strip('"') for key, value in RECORD.findall(line)}
        if "state" in record and record["state"] in STATES:
            cause = f": {record['cause']}" if "cause" in record else ""
            self.event(host, STATES[record["state"]] + cause)
        elif "verdict" in record:
            self.event(host, "confirmed: everything works that worked before" if record["verdict"] == "ok" else "NOT confirmed")
        elif "changes" in record and record["changes"]:
            self.event(host, f"{len(record['changes'].split(';'))} packages have new versions")
        elif "stage" in record:
            self.event(host, f"stage {record['stage']} done")

    def event(self, host, text):
        """One line."""
        self.say(f"{time.monotonic() - self.began:6.1f} s  {host.name:6} {text}")


def journal(host):
    """The records of a host's journals, dated ones too. A host that is going down has none to show for a moment."""
    lines = []
    try:
        for path in sorted(host.path("/etc").glob("patchlog*")):
            lines += path.read_text(errors="replace").splitlines()
    except OSError:
        pass
    return lines
