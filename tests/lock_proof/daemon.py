"""A patch-lockd of our own: started, killed, stopped, started again on what it left."""

import hashlib
import os
import signal
import subprocess
import time
from pathlib import Path

from tests import site

SECRET = "s3cret"
SUM = hashlib.sha256(SECRET.encode()).hexdigest()
# Below the ports that the kernel gives to clients, on an address that none of them has: while the service is down nobody
# connects to itself.
PORT = 7424
CONFIG = """\
[lockd]
listen = {address}:{port}
store = {store}/locks.db
[client all]
secret_sha256 = {sum}
owners = *
locks = *
admin = yes
{more}
"""


class Lockd:
    """See above. `around` are words before the command: a tracer."""

    def __init__(self, folder, slots=None, store=None, more=""):
        self.folder = Path(folder)
        self.address = f"127.{os.getpid() // 250 % 250}.{os.getpid() % 250}.2"
        self.is_traced = False
        self.store = Path(store or self.folder / "store")
        self.process = None
        more += "".join(f"[lock {lock}]\nslots = {count}\npoll_interval = 1s\n" for lock, count in (slots or {}).items())
        self.config = self.folder / "lockd.ini"
        self.config.write_text(CONFIG.format(address=self.address, port=PORT, store=self.store, sum=SUM, more=more))
        self.config.chmod(0o600)
        self.errors = open(self.folder / "stderr", "ab")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.kill()
        self.errors.close()

    def command(self):
        """How it is started."""
        return [site.tools() / "usr/sbin/patch-lockd", "--config", self.config]

    def start(self, around=()):
        """Start it, and wait until it listens. False if it ended instead."""
        self.is_traced = bool(around)
        self.process = subprocess.Popen([*around, *self.command()], stdout=subprocess.PIPE, stderr=self.errors,
                                        stdin=subprocess.DEVNULL)
        line = self.process.stdout.readline()
        return line.startswith(b"listening on")

    @property
    def pid(self):
        """Its own process; a tracer stands before it, and passes no signal on."""
        pid = self.process.pid
        if not self.is_traced:
            return pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else pid

    def kill(self):
        """SIGKILL; the time at which it was gone."""
        self.signal(signal.SIGKILL)
        return self.gone()

    def gone(self, timeout=30):
        """Wait for its end; when that was."""
        self.process.wait(timeout)
        self.process.stdout.close()
        at = time.monotonic()
        self.process = None
        return at

    def signal(self, number):
        """Send it a signal."""
        os.kill(self.pid, number)

    def end(self):
        """Tell it to end; its exit code."""
        process = self.process
        self.signal(signal.SIGTERM)
        self.gone()
        return process.returncode

    def said(self):
        """What it has said on standard error."""
        return (self.folder / "stderr").read_text(errors="replace")
