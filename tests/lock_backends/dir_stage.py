"""What the cases of a shared directory share: two hosts that see the same directory."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.hosts import power
from tests.hosts.error import LabError
from tests.lock_history import Recording
from tests.lockd_clients.stage import judge

from .host import Host

PLACE = "srv/locks"
SECTION = f"backend = dir\ndir = /{PLACE}\nbackoff_base = 1s\nbackoff_max = 1s\ntimeout = 2s\n"
SCOPE = "scope = this-host\n"
# By this argument a tool tells its child that it is one.
CHILD = b"--work-in-lock-directory"


class DirStage:
    """A context: the hosts are there; each sees one directory by a mount of its own."""

    name, kind = "dir", "bind"

    def __init__(self, lab, folder, seed, sample):
        self.lab, self.folder, self.seed, self.sample = lab, Path(folder), seed, sample
        self.shared = self.folder / "shared"
        self.shared.mkdir(parents=True)
        self.hosts = [Host(lab, self.folder, name, SECTION + SCOPE, Recording()) for name in ("a", "b")]
        self.kills = self.overlap = 0

    def __enter__(self):
        for host in self.hosts:
            self.place(host).mkdir(parents=True)
            self.mount("--bind", self.shared, host)
        return self

    def __exit__(self, *about):
        self.recover()

    def recover(self):
        """After a case: nothing of it is left."""
        for host in self.hosts:
            host.end_all()
            host.configure(SECTION + SCOPE)
            shutil.rmtree(host.root / "var", ignore_errors=True)
        for path in self.shared.iterdir():
            path.unlink()

    def place(self, host):
        """Where a host has the directory."""
        return host.root / PLACE

    def mount(self, *words):
        """mount(8) in the laboratory; a host stands for its place."""
        self.lab.run("mount", *(self.place(word) if isinstance(word, Host) else word for word in words))

    @contextlib.contextmanager
    def over(self, hosts, *words):
        """Something else is mounted over the directory of these hosts: the same for all of them."""
        first, *others = hosts
        with contextlib.ExitStack() as steps:
            self.mount(*words, first)
            steps.callback(self.lab.run, "umount", "--lazy", self.place(first))
            for host in others:
                self.mount("--bind", self.place(first), host)
                steps.callback(self.lab.run, "umount", "--lazy", self.place(host))
            yield self.lab.path(self.place(first))

    @contextlib.contextmanager
    def hanging(self, host, *operation):
        """Whoever touches the directory on this host waits; with an operation, whoever comes to that, and no signal ends it."""
        program = self.lab.enter(sys.executable, Path(__file__).with_name("hanging.py"), self.place(host), *operation)
        with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                if process.stdout.readline() != "ready\n":
                    raise LabError("cannot mount what hangs; see above")
                yield
            finally:
                power.kill_inside(process)
                self.lab.run("umount", "--lazy", self.place(host))

    @staticmethod
    def children(call):
        """The children of a call that work in the directory: of each the names of what it has open."""
        below = [Path(f"/proc/{pid}") for pid in power.descendants(call.process.pid)]
        found = [path for path in below if CHILD in (path / "cmdline").read_bytes()]
        return [sorted(os.readlink(number) for number in (path / "fd").iterdir()) for path in found]

    def names(self):
        """What lies in the shared directory."""
        return sorted(path.name for path in self.shared.iterdir())

    def inside(self, witness):
        """Who entered, in this order; counts those who did while another was inside."""
        entered, overlap = judge(witness.read_text().splitlines())
        self.overlap += overlap
        return entered

    def violations(self):
        """Of all cases together."""
        return [f"{self.overlap} times two were inside at once"] if self.overlap else []
