"""The patch server of a test network: web, mail, and an authority that its hosts can be told to trust."""

import tempfile

from .ca import Authority
from .host import Host
from .smtp import Smtp
from .www import Www


class Server(Host):
    """A host of kind `server` with its services installed; boot it, then `wait_ready`."""

    def __init__(self, net, name="server", **options):
        super().__init__(name, "server", net, **options)
        self._secrets = tempfile.TemporaryDirectory(prefix="patchflag-ca-")
        self.authority = Authority(self._secrets.name)
        self.www = Www(self, self.authority)
        self.smtp = Smtp(self, self.authority)

    def wait_ready(self, timeout=20):
        """Wait until web and mail are served."""
        self.www.wait_ready(timeout)
        self.smtp.wait_ready(timeout)

    def stop(self):
        """Remove the server and the authority's key."""
        super().stop()
        self._secrets.cleanup()
