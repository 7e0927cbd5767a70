"""What the runs of all scenarios share: the authority, the service, the settings of the machine that a host starts with."""

import shutil
import threading
from pathlib import Path

from tests import site
from tests.hosts.ca import Authority
from tests.lockd_clients.service import Service

from .facts import Facts
from .peers import KINDS

# What a program needs of /etc to look up names, users and time, and to speak TLS.
ETC = ("passwd", "group", "nsswitch.conf", "localtime", "machine-id", "ld.so.cache", "ld.so.conf", "ssl/openssl.cnf", "host.conf",
       "gai.conf", "login.defs", "services", "protocols")


class Certificates(Authority):
    """An authority that issues one certificate a name, whoever asks, and whoever asks at the same time."""

    def __init__(self, folder):
        super().__init__(folder)
        self.issued, self.busy = {}, threading.Lock()

    def issue(self, name, *others):
        with self.busy:
            if name not in self.issued:
                self.issued[name] = super().issue(name, *others)
            return self.issued[name]


class Stage:
    """A context: the shared service runs."""

    def __init__(self, folder, tools, afresh=frozenset()):
        self.folder, self.tools, self.facts = Path(folder), tools, Facts(afresh)
        self.folder.chmod(0o711)
        self.authority = Certificates(self.folder / "tls")
        self.etc = self.folder / "etc"
        for name in ETC:
            source = Path("/etc") / name
            if source.exists():
                (self.etc / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, self.etc / name)
        # patch-run installed under three names; nothing of it is there before it is built.
        self.built = (tools / "usr/sbin/patch-run").exists()
        self.shared = self.service(self.folder / "shared")

    def __enter__(self):
        self.shared.start()
        return self

    def __exit__(self, *_):
        self.shared.kill()

    def service(self, folder):
        """A service that knows the hosts of all kinds; not started."""
        folder.mkdir(parents=True)
        return Service(folder, self.authority, [kind.host for kind in KINDS.values()])


def tools():
    """The installed tools."""
    return site.tools()
