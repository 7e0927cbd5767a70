"""etcd for tests and benchmarks: the program of Debian's package, unpacked below a cache and not installed, for an installation
would start it."""

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path


def program(cache):
    """Where it lies; fetched now if it is not there."""
    place = Path(cache) / "etcd-server"
    found = place / "usr/bin/etcd"
    if not found.exists():
        Path(cache).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            os.chmod(folder, 0o755)
            download = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "etcd-server"]
            if subprocess.run(download, cwd=folder, capture_output=True).returncode:
                subprocess.run(["apt-get", "-q", "update"], check=True, stdout=subprocess.DEVNULL)
                subprocess.run(download, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            whole = Path(folder) / "unpacked"
            subprocess.run(["dpkg-deb", "-x", next(Path(folder).glob("*.deb")), whole], check=True)
            # Whoever was faster has the same.
            with contextlib.suppress(OSError):
                whole.rename(place)
    return found


def member(cache, name, data, client, peers):
    """The command line of a member: its address for clients, and of all members the addresses for each other, by name."""
    peer = peers[name]
    return [program(cache), "--name", name, "--data-dir", data, "--log-level", "error",
            "--initial-cluster", ",".join(f"{other}={url}" for other, url in peers.items()),
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
