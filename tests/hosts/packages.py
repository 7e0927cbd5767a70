"""Tiny Debian packages, good and bad, and repositories of them: a real apt run in a fraction of a second."""

import subprocess
import tempfile
from pathlib import Path

from . import tools

# What a package's postinst may do to those who install it.
SUCCEEDS = "exit 0"
FAILS = "echo 'this package is broken' >&2; exit 1"
HANGS = "sleep infinity"
HANGS_STUBBORNLY = "trap '' TERM INT HUP; while :; do sleep 1; done"
ASKS = "printf 'really? '; read -r answer && [ \"$answer\" = yes ]"
FILLS_DISK = "cat /dev/zero >/var/lib/filled"
REBOOTS = "reboot; sleep infinity"


def build(folder, name, version, postinst=SUCCEEDS, files=None, conffiles=(), fields=None):
    """Make NAME_VERSION_all.deb in `folder`: `files` maps paths to texts, `fields` adds to the control file."""
    tools.require("dpkg-deb")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    control = {"Package": name, "Version": version, "Architecture": "all", "Maintainer": "Test <test@example.org>",
               "Description": "package of a test", **(fields or {})}
    with tempfile.TemporaryDirectory() as draft:
        for path, text in (files or {f"/usr/share/{name}/version": f"{version}\n"}).items():
            place(draft, path, text)
        place(draft, "DEBIAN/control", "".join(f"{key}: {value}\n" for key, value in control.items()))
        place(draft, "DEBIAN/conffiles", "".join(f"{path}\n" for path in conffiles))
        place(draft, "DEBIAN/postinst", f"#!/bin/sh\n{postinst}\n", 0o755)
        Path(draft).chmod(0o755)
        target = folder / f"{name}_{version}_all.deb"
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", "-Znone", draft, target],
                       check=True, stdout=subprocess.DEVNULL)
    return target


def place(root, path, text, mode=0o644):
    """Write a file of the package under construction."""
    where = Path(root) / path.lstrip("/")
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_text(text)
    where.chmod(mode)


def index(folder):
    """Make a folder of packages a flat apt repository; call it again when packages were added."""
    tools.require("dpkg-scanpackages", "apt-ftparchive")
    for name, command in (("Packages", ["dpkg-scanpackages", "--multiversion", "."]),
                          ("Release", ["apt-ftparchive", "release", "."])):
        Path(folder, name).unlink(missing_ok=True)
        made = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        Path(folder, name).write_bytes(made)


def offer(host, folder, at="/srv/packages"):
    """Copy a repository into a host and make it the host's only source of packages."""
    host.remove(at)
    for path in Path(folder).iterdir():
        host.write(f"{at}/{path.name}", path.read_bytes())
    host.write("/etc/apt/sources.list", f"deb [trusted=yes] file:{at} ./\n")
