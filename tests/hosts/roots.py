"""Base roots: real Debian systems, built once from the machine's archive and kept as tarballs.

A root holds the release as it first came out (suite main alone), so that the update and security suites have
real newer packages for it. The tarballs lie outside the project, keyed by a digest of everything they
are made from, and appear by a rename: a build that is killed leaves a draft, never half a root.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from . import tools
from .archive import RELEASE, Archive, sources
from .error import LabError

BUILDER = Path(__file__).with_name("build-root.sh")

# What every root forgets: names and caches that would otherwise be the machine's, or the same on all hosts.
ANONYMOUS = r"""
set -eu; root=$1
echo guest >"$root/etc/hostname"
echo '# no name server: names are in /etc/hosts' >"$root/etc/resolv.conf"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
: >"$root/etc/apt/sources.list"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin
rm -f "$root/var/lib/dbus/machine-id" "$root"/etc/ssh/ssh_host_*
: >"$root/etc/machine-id"
mkdir -p "$root/var/lib/apt/lists/partial"
"""

# A container has no virtual terminals, and no console to log in on: init would restart the terminals' getty for
# ever, and a maintenance level whose console program ends falls through to the default level.
SYSV = ANONYMOUS + r"""
sed -i -e 's/^[1-6]:[0-9]*:respawn:.*getty/#&/' -e 's,^\(~~:S:wait:\).*,\1/bin/sleep infinity,' "$root/etc/inittab"
"""

# The archive's timers would look for a network that tests do not have, at moments nobody chose. A rescue shell
# without a console would end at once, and systemd go on to the default target.
SYSTEMD = ANONYMOUS + r"""
for unit in apt-daily.timer apt-daily-upgrade.timer console-getty.service getty@.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
for unit in rescue.service emergency.service; do
    mkdir -p "$root/etc/systemd/system/$unit.d"
    printf '[Service]\nExecStart=\nExecStart=/bin/sleep infinity\n' >"$root/etc/systemd/system/$unit.d/console.conf"
done
"""

# The packages' own mail server and site would hold the ports of the test's.
SERVER = SYSTEMD + r"""
ln -sf /dev/null "$root/etc/systemd/system/aiosmtpd.service"
rm -f "$root/etc/nginx/sites-enabled/default"
"""


@dataclass(frozen=True)
class Recipe:
    """What a root is made of: the root it starts from, packages added, last touches."""

    base: str | None
    packages: tuple[str, ...]
    customize: str


HOST_PACKAGES = ("cron", "iproute2", "procps", "ca-certificates", "strace")
SYSV_PACKAGES = ("sysvinit-core", "sysv-rc", "initscripts", "insserv", "startpar")

RECIPES = {
    "minimal": Recipe(None, (), ANONYMOUS),
    "sysv": Recipe("minimal", (*SYSV_PACKAGES, *HOST_PACKAGES), SYSV),
    "systemd": Recipe("minimal", ("systemd-sysv", "dbus", *HOST_PACKAGES), SYSTEMD),
    "server": Recipe("systemd", ("nginx-light", "python3-aiosmtpd", "openssl"), SERVER),
}

KINDS = ("sysv", "systemd", "server")


def cache():
    """Where tarballs are kept between test runs."""
    return Path(os.environ.get("PATCHFLAG_TEST_CACHE", "/var/cache/patchflag-tests"))


def tarball(kind):
    """The place of a kind's tarball, there or not; another recipe has another place."""
    return cache() / f"{kind}-{digest(kind)}.tar.zst"


def digest(kind):
    """A name for everything the root is made from, but not for what the archive held on the day."""
    recipe = RECIPES[kind]
    below = digest(recipe.base) if recipe.base else ""
    text = repr((RELEASE, below, recipe, BUILDER.read_text()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def ensure(kind, progress=lambda line: None):
    """The tarball of a kind, built now if it is not in the cache."""
    if kind not in RECIPES:
        raise LabError(f"cannot build root {kind}: no such kind; there are {', '.join(RECIPES)}")
    place = tarball(kind)
    if not place.exists():
        base = RECIPES[kind].base
        below = ensure(base, progress) if base else None
        with one_builder():
            if not place.exists():
                start = time.monotonic()
                progress(f"{kind}: building")
                build(kind, below, place)
                forget_old()
                progress(f"{kind}: built in {time.monotonic() - start:.1f} s, {place.stat().st_size >> 20} MB")
    os.utime(place)
    return place


def forget_old():
    """Remove tarballs that no test has used for two weeks: roots of recipes that are gone."""
    for place in cache().glob("*.tar.zst"):
        if time.time() - place.stat().st_mtime > 14 * 86400:
            place.unlink()


@contextlib.contextmanager
def one_builder():
    """Only one program builds at a time; whoever comes second finds the root made, and drafts left over are dead."""
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for draft in cache().glob("*.draft"):
            shutil.rmtree(draft)
        yield


def build(kind, below, place):
    """Build a root in a draft folder of the cache and rename the result to its place."""
    tools.require("debootstrap", "unshare", "zstd", "tar")
    recipe = RECIPES[kind]
    draft = Path(tempfile.mkdtemp(prefix=f"{kind}.", suffix=".draft", dir=cache()))
    try:
        debs = "-"
        if recipe.packages:
            debs = draft / "debs"
            with Archive(status_of(below), wanted={RELEASE}) as archive:
                archive.download("install", *recipe.packages, to=debs)
        run_builder(draft, below or "-", debs, recipe.customize)
        os.rename(draft / "root.tar.zst", place)
    finally:
        shutil.rmtree(draft)


def run_builder(draft, below, debs, customize):
    """Run the build script in namespaces of its own, its output kept for the error."""
    main = next(source for source in sources() if source.suite == RELEASE)
    store = cache() / "debs"
    store.mkdir(exist_ok=True)
    log = draft / "log"
    environment = {**os.environ, "URI": main.uri, "SUITE": RELEASE, "KEYRING": main.keyring, "CACHE": str(store)}
    with log.open("w") as output:
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
             BUILDER, draft, below, debs, customize],
            env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise LabError(f"cannot build a root: the last lines of {BUILDER.name} were:\n{tail}")


def status_of(place):
    """The dpkg status file inside a tarball."""
    return subprocess.run(["tar", "--extract", "--zstd", "--to-stdout", f"--file={place}", "./var/lib/dpkg/status"],
                          check=True, capture_output=True).stdout


def newer_packages(kind):
    """Packages of a root that really have newer versions in the archive now."""
    with Archive(status_of(ensure(kind))) as archive:
        return archive.upgrades()


def earlier_packages(kind):
    """For a day when `newer_packages` is empty: packages of the root whose older version the archive still lists."""
    with Archive(status_of(ensure(kind))) as archive:
        return archive.earlier()
