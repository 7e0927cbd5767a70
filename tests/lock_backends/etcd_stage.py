"""What the cases of etcd share: the cluster, three hosts, and the checker of all that they saw."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import lock_history
from tests.hosts.net import Net
from tests.hosts.wait import wait_for
from tests.lock_history import Recording

from .cluster import Cluster
from .host import MEMORY, Host

# Questions that need an answer of the service.
QUESTIONS = ("acquire", "release", "show", "why", "list", "history")


class EtcdStage:
    """A context: members and hosts are there, and each case has locks of its own."""

    name = "etcd"

    def __init__(self, lab, folder, seed, sample, subnet):
        self.folder, self.seed, self.sample = Path(folder), seed, sample
        self.folder.mkdir()
        self.recording = Recording()
        self.net = Net(lab, subnet)
        self.cluster = Cluster(self.net, self.folder / "members", self.recording)
        self.hosts = [self._host(name) for name in ("a", "b", "c")]
        self.kills = 0
        self.locks = set()
        self.rounds = 2 if sample else 8

    def _host(self, name):
        link = self.net.attach(name, lambda text: None)
        link.up()
        return Host(self.net.lab, self.folder, name, self.cluster.section(), self.recording, link.namespace)

    def __enter__(self):
        self.cluster.__enter__()
        return self

    def __exit__(self, *about):
        self.cluster.__exit__(*about)

    def recover(self):
        """After a case: nothing of it is left."""
        for host in self.hosts:
            host.end_all()
        self.cluster.heal()
        self.configure(self.cluster.section())

    def lock(self, name):
        """The lock of a case."""
        self.locks.add(name)
        return name

    def configure(self, section, *hosts):
        """Say to these hosts, or to all, which members there are."""
        for host in hosts or self.hosts:
            host.configure(section)

    def waits(self, host, lock):
        """Have a host wait, and go on when it stands in the queue."""
        call = host.start_acquire(lock, "--wait")
        asker = next(other for other in reversed(self.hosts) if other is not host)
        wait_for(lambda: host.name in asker.queue(lock), 20, f"{host.name} to wait")
        return call

    def traced(self, host, verb, lock, around):
        """A call with a tracer around it."""
        start = host.start_acquire if verb == "acquire" else host.start_release
        return start(lock, around=around).end()

    def questions(self, *asked, section=None):
        """The codes of all questions about each (host, lock), asked at once by a double of the host, which has its memory and perhaps
        another configuration."""
        section = section or self.cluster.section(timeout="2s")
        doubles = [(self._double(host, lock, section), lock, verb) for host, lock in asked for verb in QUESTIONS]
        with ThreadPoolExecutor(len(doubles)) as pool:
            codes = pool.map(lambda words: self._question(*words), doubles)
            return {f"{verb} {lock} on {double.name}": code for (double, lock, verb), code in zip(doubles, codes)}

    def _double(self, host, lock, section):
        """Another root of a host."""
        folder = Path(tempfile.mkdtemp(prefix=f"double-{lock}-", dir=self.folder))
        double = Host(host.lab, folder, host.name.split(".")[0], section, self.recording, host.net)
        double.id = host.id
        double.write("etc/machine-id", host.id + "\n")
        double.write(MEMORY, host.memory())
        return double

    @staticmethod
    def _question(host, lock, verb):
        """The code of one."""
        if verb in ("acquire", "release"):
            return (host.start_acquire if verb == "acquire" else host.start_release)(lock).end().code
        return host.run(verb, *([] if verb == "list" else [lock])).code

    def events(self, lock):
        """(event, owner, number) of a lock, the oldest first."""
        events = sorted(self.hosts[0].ask("history", "-n1000", lock), key=lambda event: event["id"])
        return [(event["event"], event["owner"], event["number"]) for event in events]

    def violations(self):
        """Of all cases together: what the checker finds in what the hosts saw and what the history says."""
        asker = self.hosts[0]
        events = [event for lock in self.locks for event in asker.ask("history", "-n1000", lock)]
        self.recording.history = sorted(events, key=lambda event: event["id"])
        self.recording.held = {row["lock"]: [holder["number"] for holder in row["holders"]] for row in asker.ask("list")}
        return Check(self.recording).run()[0]


class Check(lock_history.Check):
    """Without the order of waiters, which has a case of its own: between the start of a program and its place in the queue there is
    no bound on a busy machine."""

    def fair(self):
        """Not here."""
