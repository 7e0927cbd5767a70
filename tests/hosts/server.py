"""The patch server of a test network: web, mail, locks, and an authority that its hosts can be told to trust."""

import tempfile

from .ca import TRUSTED, Authority
from .host import Host
from .lockd import Lockd
from .smtp import Smtp
from .www import Www


class Server(Host):
    """A host of kind `server` with its services installed; boot it, then `wait_ready`. With `tools` it serves locks too."""

    def __init__(self, net, name="server", tools=None, **options):
        super().__init__(name, "server", net, **options)
        self._secrets = tempfile.TemporaryDirectory(prefix="patchflag-ca-")
        self.authority = Authority(self._secrets.name)
        self.www = Www(self, self.authority)
        self.smtp = Smtp(self, self.authority)
        self.lockd = Lockd(self, self.authority, tools) if tools else None
        self.write(TRUSTED, self.authority.certificate.read_text())

    def wait_ready(self, timeout=20):
        """Wait until everything is served."""
        for service in filter(None, (self.www, self.smtp, self.lockd)):
            service.wait_ready(timeout)

    def stop(self):
        """Remove the server and the authority's key."""
        super().stop()
        self._secrets.cleanup()
