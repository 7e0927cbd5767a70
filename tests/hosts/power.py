"""A host that is switched on: its init, started again whenever it reboots, until it powers off or dies."""

import contextlib
import enum
import os
import select
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from . import cgroup


class End(enum.Enum):
    """How a boot ended."""

    REBOOT = "init rebooted"
    POWEROFF = "init powered off"
    CUT = "the test cut the power"
    CRASH = "init died, or never started"


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
        self.end = None
        self._was_cut = False
        self._switch = threading.Lock()
        self.failure = None

    def run(self):
        """Boot, and boot again after each reboot; only the first boot has the extra words on its command line."""
        words = self.first_cmdline
        try:
            while self._boot_once(words) is End.REBOOT:
                words = ""
        except Exception as error:
            self.failure = error

    def cut(self):
        """Kill the guest, or what is about to become it, with all that runs in it."""
        with self._switch:
            self._was_cut = True
        while self.process and self.process.poll() is None:
            init = self.host.init_pid
            kill([init] if init else descendants(self.process.pid))
            time.sleep(0.002)

    def _boot_once(self, words):
        console, terminal = os.openpty()
        with open(console, "rb", buffering=0) as console:
            with open(terminal, "wb", buffering=0) as terminal:
                started = self._start(words, terminal)
            if started:
                self._keep_console(console)
            self.end = self._meaning(self.process.wait() if started else None)
        return self.end

    def _start(self, words, terminal):
        """Start the container, unless the power was cut before; the lock keeps a cut from falling in between."""
        host = self.host
        command, cmdline = host.prepare_boot(words)
        with self._switch:
            started = not self._was_cut
            if started:
                # A reboot ends the container by SIGHUP; below nohup(1) nobody would hear it.
                command = ["env", "--default-signal=HUP,INT", *cgroup.joined(host.groups, command)]
                self.process = subprocess.Popen(command, stdin=terminal, stdout=terminal,
                                                stderr=terminal, start_new_session=True)
                host.boots.append(Boot(len(host.boots) + 1, time.time(), cmdline, self.process.pid))
        return started

    def _meaning(self, code):
        """Why the container ended: a killed one has no code to be relied on."""
        if self._was_cut:
            return End.CUT
        code = code if code >= 0 else 128 - code
        return {self.host.init.reboot: End.REBOOT, self.host.init.poweroff: End.POWEROFF}.get(code, End.CRASH)

    def _keep_console(self, console):
        """Copy the console to the log until the guest has ended."""
        while True:
            ready, _, _ = select.select([console], [], [], 0.5)
            if not ready and self.process.poll() is not None:
                return
            if ready:
                try:
                    self.host.log.write(console.read(65536))
                except OSError:
                    return  # EIO: nobody holds the terminal any more


def kill_inside(process):
    """Kill what nsenter(1) runs, to the last process, and let nsenter itself end by that.

    A killed nsenter would leave its child to whoever adopts orphans; one that does not wait for it leaves a zombie, and the
    kernel keeps the PID namespace, and everybody who waits for its end, as long as there is one. nsenter stops with its child,
    and so has to be woken.
    """
    while process.poll() is None:
        kill(held(process.pid))
        kill([process.pid], signal.SIGCONT)
        time.sleep(0.002)


def held(pid):
    """All processes below `pid`, each of them stopped: none can start another, or die and leave its own to init."""
    seen = None
    while seen != (seen := list(descendants(pid))):
        kill(seen, signal.SIGSTOP)
    return seen


def kill(pids, number=signal.SIGKILL):
    """A signal, SIGKILL unless told otherwise, to each that still exists."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


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
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as listed:
                found += map(int, listed.read().split())
    except OSError:
        return []
    return found


def descendants(pid):
    """All processes below `pid`, nearest first; those that end meanwhile are left out."""
    waiting = [pid]
    while waiting:
        found = children(waiting.pop(0))
        waiting += found
        yield from found
