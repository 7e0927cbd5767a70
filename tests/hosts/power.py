"""A host that is switched on: its init, started again whenever it reboots, until it powers off or dies."""

import os
import select
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from . import cgroup


@dataclass(frozen=True)
class Boot:
    """One start of a host's init."""

    number: int
    at: float
    cmdline: str
    process: int


class Power(threading.Thread):
    """From switching a host on to the moment it is off; the console goes to the host's log all the while."""

    def __init__(self, host, cmdline):
        super().__init__(name=f"power-{host.name}", daemon=True)
        self.host = host
        self.first_cmdline = cmdline
        self.process = None
        self.code = None
        self.failure = None

    def run(self):
        """Boot, and boot again after each reboot; only the first boot has the extra words on its command line."""
        words = self.first_cmdline
        try:
            while True:
                self._boot_once(words)
                if self.code != self.host.init.reboot:
                    break
                words = ""
        except Exception as error:
            self.failure = error

    def _boot_once(self, words):
        host = self.host
        command, cmdline = host.prepare_boot(words)
        console, terminal = os.openpty()
        try:
            self.process = subprocess.Popen(cgroup.joined(host.groups, command), stdin=terminal, stdout=terminal,
                                            stderr=terminal, start_new_session=True)
            os.close(terminal)
            host.boots.append(Boot(len(host.boots) + 1, time.time(), cmdline, self.process.pid))
            self._keep_console(console)
            code = self.process.wait()
            self.code = code if code >= 0 else 128 - code
        finally:
            os.close(console)

    def _keep_console(self, console):
        """Copy the console to the log until the guest has ended."""
        while True:
            ready, _, _ = select.select([console], [], [], 0.5)
            if not ready and self.process.poll() is not None:
                return
            if ready:
                try:
                    self.host.log.write(os.read(console, 65536))
                except OSError:
                    return  # EIO: nobody holds the terminal any more


def find_init(process, name, depth):
    """The guest's process 1 below the process that started it, once it is the init called `name`.

    Looked for by its PID as the guest sees it: in between are helpers whose number depends on the tool.
    """
    for pid in descendants(process):
        try:
            seen = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid"))
            numbers = seen.split()[1:]
            if len(numbers) == depth and numbers[-1] == "1" and Path(f"/proc/{pid}/comm").read_text().strip() == name:
                return pid
        except OSError:
            continue
    return None


def children(pid):
    """The processes that `pid` started, by whichever thread; none if it has ended."""
    try:
        text = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:
        return []
    return [int(word) for word in text.split()]


def descendants(pid):
    """All processes below `pid`, nearest first; those that end meanwhile are left out."""
    waiting = [pid]
    while waiting:
        found = children(waiting.pop(0))
        waiting += found
        yield from found
