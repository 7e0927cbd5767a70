"""The lock service on a server host: our own patch-lockd, with TLS, and a credential for each host."""

import json

from .smtp import is_listening

PORT = 7424
SETTINGS = """\
[lockd]
listen = 0.0.0.0:{port}
certificate = /etc/patch/lockd.pem
key = /etc/patch/lockd.key
"""
# What a host says of the service in its own configuration.
LOCK = """\
[lock]
backend = lockd
url = https://{server}:{port}
ca_file = {ca}
owner = {owner}
secret_id = {owner}
secret_file = /etc/patch/lock.secret
names = {names}
"""


class Lockd:
    """patch-lockd on a server that is off; its init keeps it running."""

    def __init__(self, host, authority, tools):
        self.host, self.tools = host, tools
        certificate, key = authority.issue(host.name, *([host.link.address] if host.link else []))
        host.install_tree(tools)
        host.remove("/etc/cron.d/patchflag")
        host.write("/etc/patch/lockd.pem", certificate.read_text())
        host.write("/etc/patch/lockd.key", key.read_text(), 0o600)
        host.write("/etc/patch/lockd.ini", SETTINGS.format(port=PORT), 0o600)
        host.add_service("lockd", "/usr/sbin/patch-lockd")

    def admit(self, member, names, ca, *options):
        """Give a host a credential for some locks, as its administrator would; the server is off still."""
        added = self.host.chroot("patch-lockd", "add-client", member.name, "--owners", member.name, "--locks", names,
                                 "--secret-file", "/root/secret", *options).stdout
        self.host.write("/etc/patch/lockd.ini", self.host.read("/etc/patch/lockd.ini") + "\n" + added, 0o600)
        member.write("/etc/patch/lock.secret", self.host.read("/root/secret"), 0o600)
        self.host.remove("/root/secret")
        section = LOCK.format(server=self.host.name, port=PORT, ca=ca, owner=member.name, names=names)
        member.write("/etc/patch/config.ini", member.read("/etc/patch/config.ini") + section)

    def wait_ready(self, timeout=20):
        """Wait until the port is open."""
        self.host.wait_for(lambda: is_listening(self.host, PORT), timeout, "the lock service")

    def history(self):
        """All that happened to locks, oldest first, as the server's own administrator is told."""
        printed = json.loads(self.host.output(["patch-lock", "history", "--json", "-n", "1000"]))
        return sorted(printed, key=lambda event: event["id"])
