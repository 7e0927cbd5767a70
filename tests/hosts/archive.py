"""The package archive that this machine itself uses, asked with a throw-away state.

The tree names no archive: address, suites and keyring are read from the machine's apt sources at run time, and
so are its `Acquire` settings (proxies, dates that a frozen mirror forces one to ignore). The machine's package
lists and cache are neither read nor written.
"""

import os
import re
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import tools
from .error import LabError

RELEASE = "bookworm"
SOURCES = Path("/etc/apt")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class Source:
    """One address and suite of the archive, with the keyring that signs it."""

    uri: str
    suite: str
    keyring: str

    def line(self):
        """The one-line form for a sources.list; only `main` is ever used."""
        return f"deb [signed-by={self.keyring}] {self.uri} {self.suite} main"


@dataclass(frozen=True)
class Upgrade:
    """A package for which the archive has another version than the root."""

    package: str
    installed: str
    newer: str


def own_codename():
    """The release this machine runs, whose names the suites in its sources carry."""
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.split("=", 1)[1].strip('"')
    return RELEASE


def sources():
    """Main, updates and security suites of the test release, as this machine's apt sources place them."""
    own = own_codename()
    names = {own + tail: RELEASE + tail for tail in ("", "-updates", "-security")}
    found = {}
    for uri, suite, keyring in read_sources(SOURCES):
        if suite in names and names[suite] not in found:
            found[names[suite]] = Source(uri, names[suite], keyring or KEYRING)
    if RELEASE not in found:
        raise LabError(f"cannot find the archive: no apt source below {SOURCES} has component main of suite {own}; "
                       "add one, in either format")
    return list(found.values())


def read_sources(folder):
    """Every (address, suite, keyring) with component main below an apt configuration folder, both formats."""
    for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]:
        if path.exists():
            yield from one_line_format(path.read_text())
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        yield from deb822_format(path.read_text())


def one_line_format(text):
    """Read `deb [options] uri suite component…` lines."""
    for line in text.splitlines():
        match = re.match(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)", line.split("#")[0].strip())
        if match and "main" in match[4].split():
            options = dict(word.split("=", 1) for word in (match[1] or "").split() if "=" in word)
            yield match[2], match[3], options.get("signed-by", "")


def deb822_format(text):
    """Read stanzas of `Types:`, `URIs:`, `Suites:`, `Components:`, `Signed-By:`."""
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", text):
        fields = {key.lower(): value.split() for key, value in re.findall(r"^([\w-]+):[ \t]*(.*)$", stanza, re.M)}
        if "deb" not in fields.get("types", []) or "main" not in fields.get("components", []):
            continue
        if fields.get("enabled", ["yes"]) == ["no"]:
            continue
        for uri in fields.get("uris", []):
            for suite in fields.get("suites", []):
                yield uri, suite, " ".join(fields.get("signed-by", []))


class Archive:
    """apt with a state of its own, looking at the archive on behalf of a root's dpkg status file."""

    def __init__(self, status, wanted=None, more=()):
        """`wanted` narrows the suites; without it all three are looked at. `more` are sources besides."""
        tools.require("apt-get", "apt-cache")
        self._folder = tempfile.TemporaryDirectory(prefix="patchflag-apt-")
        self.folder = Path(self._folder.name)
        chosen = [source for source in sources() if wanted is None or source.suite in wanted]
        chosen += more
        for name in ("state/lists/partial", "cache/archives/partial", "parts"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "status").write_bytes(status)
        (self.folder / "sources.list").write_text("".join(source.line() + "\n" for source in chosen))
        (self.folder / "apt.conf").write_text(self._settings())
        self._apt("apt-get", "-q", "update")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._folder.cleanup()

    def upgrades(self):
        """What a full upgrade of the root would really install now."""
        plan = self._apt("apt-get", "--simulate", "dist-upgrade")
        lines = re.findall(r"^Inst (\S+) \[([^]]+)\] \((\S+)", plan, re.M)
        return [Upgrade(*fields) for fields in lines]

    def earlier(self):
        """Packages of the root with an older version still listed: installed first, it makes the newest an upgrade.

        The way out for a test that needs a real upgrade on a day when the root is already the newest.
        """
        listed = {}
        for row in self._apt("apt-cache", "madison", *self.installed()).splitlines():
            package, version, _ = (field.strip() for field in row.split("|"))
            listed.setdefault(package, [])
            if version not in listed[package]:
                listed[package].append(version)
        return [Upgrade(package, versions[-1], versions[0]) for package, versions in listed.items() if len(versions) > 1]

    def installed(self):
        """The names of the root's packages."""
        return re.findall(r"^Package: (\S+)$", (self.folder / "status").read_text(), re.M)

    def download(self, *arguments, to):
        """Fetch packages without installing them; `arguments` are apt-get's (`install nginx`, `dist-upgrade`)."""
        target = Path(to)
        (target / "partial").mkdir(parents=True, exist_ok=True)
        self._apt("apt-get", "-q", "-y", "--download-only", "--no-install-recommends",
                  "-o", f"Dir::Cache::archives={target}", *arguments)
        (target / "lock").unlink(missing_ok=True)
        (target / "partial").rmdir()
        return sorted(target.glob("*.deb"))

    def _settings(self):
        """An apt.conf that knows the machine's way to the archive and nothing else of the machine."""
        machine = subprocess.run(["apt-config", "dump", "Acquire"], check=True, capture_output=True, text=True).stdout
        own = {
            "Dir::State": self.folder / "state",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "Dir::Etc::SourceList": self.folder / "sources.list",
            "Dir::Etc::SourceParts": self.folder / "parts",
            "Dir::Etc::Parts": self.folder / "parts",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": self.folder / "parts",
            "APT::Sandbox::User": "root",
        }
        return machine + "".join(f'{key} "{value}";\n' for key, value in own.items())

    def _apt(self, *argv):
        environment = {**os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C.UTF-8",
                       "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise LabError(f"cannot ask the archive: {shlex.join(argv)}: {done.stderr.strip()}; "
                           "check that apt-get update works on this machine")
        return done.stdout
