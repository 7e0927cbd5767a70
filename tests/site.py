"""A patch site for tests: our tools built and installed, keys, a patch server's tree, and hosts that are ready to be armed.

Clusters are small and fast: a script cluster whose program does what the test says, or an apt cluster of tiny packages from a
signed archive made here. The tree is a directory on the host itself unless a test serves it otherwise.
"""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.hosts import packages

TOP = Path(__file__).resolve().parent.parent
TREE = "/srv/patch"
RELEASE = "debian-12/amd64"
INSTALL_DIR = "/var/lib/patch/cluster"
# Without windows, pauses and a long soak: a test waits for nothing that it does not test.
CONFIG = """\
[grab]
server = {tree}
splay = 0s
retry_for = 1s
[patchit]
soak = 1s
boot_wait = 2m
after = {after}
[preflight]
root_free = 1M
var_free = 1M
boot_free = 1M
{more}
"""
# Proof of what was done and how often, written so that a power cut cannot hide it.
WITNESS = "/var/lib/witness"
INSTALL_ONCE = f"""#!/bin/sh
set -e
echo "installed by $PATCHFLAG_RUN at $(cat /proc/1/comm)" >>{WITNESS}
sync {WITNESS}
"""


def build(destination):
    """Build the tools and lay them out as on a host, once for a destination."""
    subprocess.run(["make", "-s", "-C", TOP, "install", f"DESTDIR={destination}"], check=True, stdout=subprocess.DEVNULL)
    return Path(destination)


def tools():
    """The installed tree to use: PATCHFLAG_TEST_TOOLS names one that is there, else it is built into the target directory."""
    given = os.environ.get("PATCHFLAG_TEST_TOOLS")
    if given:
        return Path(given)
    target = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target"))
    return build(target / "test-tools")


class Site:
    """A patch server's files, made with the real pull-cluster in a folder of its own."""

    def __init__(self, tree=None):
        self.tools = tree or tools()
        self._keep = tempfile.TemporaryDirectory(prefix="patchflag-site-")
        self.root = Path(self._keep.name) / "server"
        (self.root / "etc/patch").mkdir(parents=True)
        (self.root / "srv/patch").mkdir(parents=True)
        self.root.chmod(0o755)
        self.configure("")
        self.pull("keygen")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Remove the site."""
        self._keep.cleanup()

    def pull(self, *arguments):
        """Run pull-cluster on this server; what it printed."""
        config = self.root / "etc/patch/config.ini"
        command = [self.tools / "usr/sbin/pull-cluster", *arguments, "--config", config]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"cannot {arguments[0]}: {done.stderr or done.stdout}")
        return done.stdout

    def configure(self, cluster):
        """Write the server's configuration."""
        own = f"[pull]\ntree = {self.tree}\nsecret_key = {self.root}/etc/patch/patchflag.key\n"
        (self.root / "etc/patch/config.ini").write_text(own + cluster)

    @property
    def key(self):
        """The public key, for the hosts."""
        return (self.root / "etc/patch/patchflag.pub").read_text()

    @property
    def tree(self):
        """The static tree."""
        return self.root / "srv/patch"

    def hosts(self, lines=f"* production {INSTALL_DIR}\n"):
        """Say in host_type what the hosts are, and sign it."""
        (self.tree / "host_type").write_text(lines)
        self.pull("sign")

    def script(self, program=INSTALL_ONCE, ring="production"):
        """Publish a script cluster whose install_cluster is `program`; everybody gets it."""
        folder = Path(self._keep.name) / "cluster"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "patches").mkdir(parents=True)
        (folder / "patches/install_cluster").write_text(program)
        (folder / "patches/install_cluster").chmod(0o755)
        archive = self.root / "srv/patches.tar.gz"
        subprocess.run(["tar", "-C", folder, "-czf", archive, "patches"], check=True)
        self.configure(f"[cluster {RELEASE}]\nkind = script\nsource = {archive}\n")
        return self._publish(ring)

    def apt(self, debs, names="*", ring="production"):
        """Publish an apt cluster of the packages in a folder; everybody gets it."""
        archive = self.root / "srv/archive"
        shutil.rmtree(archive, ignore_errors=True)
        sign_archive(Path(debs), archive, Path(self._keep.name) / "gnupg")
        self.configure(f"[cluster {RELEASE}]\nkind = apt\nsource = {archive}\nsuites = stable\n"
                       f"keyring = {archive}/keyring.gpg\npackages = {names}\n")
        return self._publish(ring)

    def _publish(self, ring):
        self.pull("pull")
        if ring == "production":
            self.pull("promote", RELEASE, "--confirmed-by", "nobody", "--reason", "test")
        self.hosts(f"* {ring} {INSTALL_DIR}\n")

    def install(self, host, more="", after="", tree=True, cron=False):
        """Make a host a member of the site: tools, configuration, key, and the tree on its own disk."""
        host.install_tree(self.tools)
        host.write("/etc/patch/config.ini", CONFIG.format(tree=TREE, after=after, more=more))
        host.write("/etc/patch/patchflag.pub", self.key)
        if not cron:
            host.remove("/etc/cron.d/patchflag")
        if host.kind == "sysv":
            host.chroot("update-rc.d", "patchit", "defaults")
        else:
            host.chroot("systemctl", "enable", "patchit.service")
        if tree:
            self.copy_tree(host)

    def copy_tree(self, host):
        """Bring the published tree to a host's own disk."""
        host.remove(TREE)
        shutil.copytree(self.tree, host.path(TREE), symlinks=True)


def sign_archive(debs, archive, gnupg):
    """A signed apt archive with one suite, `stable`, of the packages in a folder."""
    pool = archive / "pool"
    pool.mkdir(parents=True)
    for deb in debs.glob("*.deb"):
        shutil.copy(deb, pool)
    index = archive / "dists/stable/main/binary-amd64"
    index.mkdir(parents=True)
    listed = subprocess.run(["dpkg-scanpackages", "--multiversion", "pool"], cwd=archive, check=True, capture_output=True)
    (index / "Packages").write_bytes(listed.stdout)
    subprocess.run(["gzip", "-k", index / "Packages"], check=True)
    suite = archive / "dists/stable"
    options = [f"APT::FTPArchive::Release::{key}={value}" for key, value in
               (("Suite", "stable"), ("Codename", "stable"), ("Components", "main"), ("Architectures", "amd64 all"))]
    release = subprocess.run(["apt-ftparchive", *sum((["-o", o] for o in options), []), "release", "."],
                             cwd=suite, check=True, capture_output=True).stdout
    (suite / "Release").write_bytes(release)
    gpg = ["gpg", "--homedir", gnupg, "--quiet", "--batch", "--passphrase", ""]
    if not gnupg.exists():
        gnupg.mkdir(mode=0o700)
        subprocess.run([*gpg, "--quick-gen-key", "test@example.org", "ed25519", "sign", "never"], check=True)
    subprocess.run([*gpg, "--clearsign", "--output", suite / "InRelease", suite / "Release"], check=True)
    keyring = subprocess.run([*gpg, "--export"], check=True, capture_output=True).stdout
    (archive / "keyring.gpg").write_bytes(keyring)
    subprocess.run(["gpgconf", "--homedir", gnupg, "--kill", "all"], check=True)


def tick(host, *command, timeout=120):
    """One tick of cron: run a tool, return the completed process."""
    return host.run(list(command), timeout=timeout)


def run_to_the_end(host, timeout=60):
    """Stage, install and confirm an armed host by ticks; how long it took in seconds."""
    began = time.monotonic()
    staged = tick(host, "grab-patch")
    if staged.returncode:
        raise RuntimeError(f"grab-patch: {staged.stderr}{staged.stdout}")
    boots = len(host.boots)
    host.spawn(["patchit"]) if hasattr(host, "spawn") else host.run("setsid patchit >/var/log/patchit.out 2>&1 &")
    host.wait_up(boots + 2, timeout)
    host.wait_for(lambda: confirmed(host), timeout, "the confirmation")
    return time.monotonic() - began


def confirmed(host):
    """Tick until nothing is left to be finished."""
    tick(host, "patchit", "--finish")
    return not any(host.exists(f"/etc/{name}") for name in ("patchlog", "patchdone", "patchflag"))


def tiny(folder, version, name="tiny", **options):
    """A tiny package of a version."""
    return packages.build(folder, name, version, **options)
