"""What all cases share: the service, the hosts' names, what was run, and the judge of who was inside with whom."""

from pathlib import Path

from tests.hosts.ca import Authority
from tests.hosts.error import LabError

from . import service
from .updaters import Foreman, Modern, Old, OldV2, PatchLock, PatchLockDlm, PatchLockFleet, PatchLockForeman

KINDS = (Modern, Old, OldV2, Foreman, PatchLock, PatchLockDlm, PatchLockForeman, PatchLockFleet)
DOMAIN = "lock.example"


def names():
    """Two names for each kind of client, and one in capitals."""
    return [f"{kind.__name__.lower()}{n}.{DOMAIN}" for kind in KINDS for n in (1, 2)] + [f"BIG.{DOMAIN}"]


class Stage:
    """A context: the service runs, and each case has hosts and a lock of its own."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.service = service.Service(self.folder, Authority(self.folder / "tls"), names())
        self.runs, self.clients, self.overlap = 0, set(), 0

    def __enter__(self):
        self.service.__enter__()
        return self

    def __exit__(self, *about):
        self.service.__exit__(*about)

    def host(self, case, kind, number=1, **options):
        """A host with a client of this kind; the lock is named as the case."""
        name = f"{kind.__name__.lower()}{number}.{DOMAIN}"
        folder = self.folder / case
        return kind(folder, self.service, name, case, folder / "witness", **options)

    def ran(self, host, code, expected=0):
        """A client's run has ended with this code."""
        if code != expected:
            raise LabError(f"{host.client} on {host.name} ended with {code}, not {expected}:\n{host.said()[-3000:]}")
        self.runs += 1
        self.clients.add(host.client)

    def inside(self, case):
        """Who entered, in this order; counts those who did while another was inside."""
        path = self.folder / case / "witness"
        entered, overlap = judge(path.read_text().splitlines() if path.exists() else ())
        self.overlap += overlap
        return entered


def equal(found, expected, what):
    """Both are the same, or the case has failed."""
    if found != expected:
        raise LabError(f"{what}: found {found!r}, expected {expected!r}")


def judge(lines):
    """Of a witness's lines: who entered, in this order, and how often somebody did, or left, while another was inside."""
    entered, overlap, now = [], 0, None
    for line in lines:
        what, who = line.split()
        overlap += now != (None if what == "enter" else who)
        now = who if what == "enter" else None
        entered += [who] if what == "enter" else []
    if now:
        raise LabError(f"{now} entered and never left")
    return entered, overlap
