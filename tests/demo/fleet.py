"""The fleet of the demo: who is in it, how each host is configured, and the server that feeds it."""

from tests import site
from tests.hosts import archive, roots
from tests.hosts.ca import TRUSTED
from tests.hosts.host import Host
from tests.hosts.server import Server

RELEASE = site.RELEASE
CONFIG = """\
[grab]
server = https://server
ca_file = {ca}
splay = 10s
[patchit]
after = {after}
soak = 3s
[mail]
to = ops@example.org
relay = server:587
tls = starttls
ca_file = {ca}
user = {user}
password_file = /etc/patch/mail.password
"""
# Waiting is one line: whoever has staged waits for its turn, and goes on the moment it comes.
STAGES = "* * * * * root grab-patch && {stage}patch-lock acquire -p --wait && patchit\n"
ALWAYS = "* * * * * root patchit --finish; patch-mail deliver\n"
PATH_LINE = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nMAILTO=\"\"\n"
DUMP = "#!/bin/sh\necho 'dumping the database of '$(hostname)\nsleep 2\necho 'dumped before '$PATCHFLAG_CLUSTER >/var/lib/dump\n"
# A host on which the installation itself fails: its administrator has apt take a snapshot first, and there is no room for one.
NO_SNAPSHOT = 'DPkg::Pre-Invoke { "echo cannot take a snapshot: vg0 is full; exit 1"; };\n'


class Member:
    """One host: its init, the group that shares a lock with it, and what is particular about it."""

    def __init__(self, name, kind, group, stage=None, apt=None):
        self.name, self.kind, self.group, self.stage, self.apt = name, kind, group, stage, apt
        self.host = self.packages_before = None

    def packages(self):
        """Every package with its version."""
        return self.host.output(["dpkg-query", "--show"])

    def make(self, fleet):
        """Install the host; it is not switched on yet."""
        host = self.host = Host(self.name, self.kind, net=fleet.net, size="1g")
        fleet.site.install(host, tree=False)
        server = fleet.server
        host.write(TRUSTED, server.authority.certificate.read_text())
        host.write("/etc/patch/config.ini", CONFIG.format(
            ca=TRUSTED, after="db-dump" if self.stage else "", user=server.smtp.user))
        host.write("/etc/patch/mail.password", server.smtp.password + "\n", 0o600)
        server.lockd.admit(host, self.group, TRUSTED)
        stage = ""
        if self.stage:
            host.write("/usr/local/sbin/dump-all", self.stage, 0o755)
            stage = "patch-stage db-dump -- /usr/local/sbin/dump-all && "
        if self.apt:
            host.write("/etc/apt/apt.conf.d/90snapshot", self.apt)
        host.write("/etc/cron.d/patchflag", PATH_LINE + STAGES.format(stage=stage) + ALWAYS)
        return host


class Fleet:
    """Server and hosts on one network."""

    def __init__(self, net, members, say):
        self.net, self.members, self.say = net, members, say
        self.site = site.Site()
        self.server = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.site.close()

    def pull(self):
        """Make the cluster from what the archive has newer than our roots; returns how many packages that is."""
        newer = {upgrade.package for kind in sorted({m.kind for m in self.members}) for upgrade in roots.newer_packages(kind)}
        if not newer:
            raise SystemExit("cannot show real updates: the archive has nothing newer than the roots; remove the cached roots")
        sources = archive.sources()
        self.site.configure(cluster(sources, newer))
        self.say(self.site.pull("pull").strip())
        self.say(self.site.pull("promote", RELEASE, "--confirmed-by", "demo", "--reason", "the first cluster").strip())
        self.site.hosts(f"web* production {site.INSTALL_DIR}\ndb* production {site.INSTALL_DIR}\n")
        return len(newer)

    def serve(self):
        """Install the hosts, and boot the patch server: the static tree behind nginx, the mail server, the lock service."""
        self.server = Server(self.net, tools=self.site.tools)
        self.server.www.publish(self.site.tree)
        self.server.lockd.admit(self.server, "*", TRUSTED, "--admin")
        for member in self.members:
            member.make(self)
        self.server.boot()
        self.server.wait_ready()

    def boot(self):
        """Boot the hosts."""
        for member in self.members:
            member.host.start()
        for member in self.members:
            member.host.wait_up()
            member.packages_before = member.packages()


def cluster(sources, packages):
    """The configuration of the demo's cluster; the security suite has an address of its own."""
    suites = " ".join(f"{source.suite}@{source.uri}" for source in sources)
    return (f"[cluster {RELEASE}]\nkind = apt\nsource = {sources[0].uri}\nsuites = {suites}\n"
            f"keyring = {sources[0].keyring}\npackages = {' '.join(sorted(packages))}\n")
