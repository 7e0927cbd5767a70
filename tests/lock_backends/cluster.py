"""Three members of etcd, each on a network namespace of its own, and what can happen to them."""

import json
import subprocess
import time

from tests import etcd
from tests.hosts import power, roots
from tests.hosts.wait import wait_for

CLIENTS, PEERS = 2379, 2380
MEMBERS = 3


class Member:
    """One member: a process, its data, its cable."""

    def __init__(self, net, folder, number):
        self.name, self.folder, self.process = f"etcd{number}", folder, None
        self.link = net.attach(self.name, lambda text: None)
        self.link.up()
        self.url = f"http://{self.link.address}:{CLIENTS}"
        self.peer = f"http://{self.link.address}:{PEERS}"

    @property
    def runs(self):
        """It is there."""
        return self.process is not None and self.process.poll() is None


class Cluster:
    """A context: the members run until its end."""

    def __init__(self, net, folder, recording):
        self.net, self.folder, self.recording = net, folder, recording
        folder.mkdir()
        self.members = [Member(net, folder, number) for number in range(1, MEMBERS + 1)]
        self.faulty_since = None

    def __enter__(self):
        for member in self.members:
            self.start(member)
        self.wait_whole()
        return self

    def __exit__(self, *_):
        for member in self.members:
            self.kill(member)

    def start(self, member):
        """Start a member on what it left."""
        command = etcd.member(roots.cache(), member.name, self.folder / member.name, member.url,
                              {other.name: other.peer for other in self.members})
        with (self.folder / f"{member.name}.log").open("ab") as log:
            member.process = subprocess.Popen(self.net.lab.enter(*command, net=member.link.namespace), stdin=subprocess.DEVNULL,
                                              stdout=log, stderr=log)

    def kill(self, member):
        """kill -9"""
        self._goes_wrong()
        if member.process is not None:
            power.kill_inside(member.process)
            member.process.wait()

    def cut(self, member):
        """Pull its cable: nobody reaches it."""
        self._goes_wrong()
        member.link.cut()

    def isolate(self, member):
        """Cut it off from the other members alone; clients reach it."""
        self._goes_wrong()
        self._routes(member, "replace")

    def heal(self):
        """All that was cut is whole, all that was killed runs, and they agree."""
        for member in self.members:
            member.link.restore()
            self._routes(member, "del")
            if not member.runs:
                self.start(member)
        self.wait_whole()

    def _routes(self, member, verb):
        for other in self.members:
            if other is not member:
                subprocess.run(self.net.lab.enter("ip", "route", verb, "blackhole", f"{other.link.address}/32",
                                                  net=member.link.namespace), capture_output=True)

    def _goes_wrong(self):
        """What is sent from now on may be decided when they agree again."""
        self.faulty_since = self.faulty_since or time.monotonic()

    def ask(self, member, path, body=None):
        """What a member says; nothing if it does not."""
        words = ["curl", "-s", "-m", "2", f"{member.url}{path}", *([] if body is None else ["-d", json.dumps(body)])]
        done = subprocess.run(self.net.lab.enter(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None

    def is_healthy(self, member):
        """A question to it is answered by all."""
        return (self.ask(member, "/health") or {}).get("health") == "true"

    def wait_whole(self):
        """Until each member is healthy."""
        wait_for(lambda: all(self.is_healthy(member) for member in self.members), 60, f"etcd to be whole; see {self.folder}")
        if self.faulty_since:
            self.recording.add({"stopped": [self.faulty_since, time.monotonic()]})
        self.faulty_since = None

    def leader(self, *among):
        """Which member leads, of these or of all."""
        def found():
            for member in among or self.members:
                said = self.ask(member, "/v3/maintenance/status", {}) if member.runs else None
                if said and said.get("leader") == said["header"]["member_id"]:
                    return member
            return None

        return wait_for(found, 20, "a leader")

    def others(self, *members):
        """All but these."""
        return [member for member in self.members if member not in members]

    def section(self, *members, timeout="3s"):
        """What a host's configuration says of them, in this order."""
        if not members:
            members = self.members
        urls = " ".join(member.url for member in members)
        return f"backend = etcd\nurl = {urls}\nplain_http = yes\ntimeout = {timeout}\n"
