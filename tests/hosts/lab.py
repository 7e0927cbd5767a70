"""The laboratory: one process that owns every namespace the tests use.

All mounts, guests and network namespaces of a test run live in namespaces that are kept alive by a single
process, the anchor. The anchor is process 1 of its own PID namespace and waits for the end of a pipe held by
this program. Whatever happens to the program (a failed test, Ctrl-C, SIGKILL), the pipe ends, the anchor
ends, and the kernel ends everything else: the machine's own mount table, process list and network never see
a part of it. Only the guests' control groups outlive a SIGKILL; the next laboratory sweeps them.
"""

import atexit
import contextlib
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

from . import cgroup, tools
from .error import LabError

# In the anchor's mount namespace /run is a tmpfs: nspawn's lock files and ip-netns(8)'s names stay there too. As process 1
# the anchor adopts what a killed container leaves; ignoring SIGCHLD has the kernel reap it. (A shell's `read` ends by SIGCHLD.)
ANCHOR_SCRIPT = """
mount -t tmpfs -o mode=755 lab /run && mkdir -p /run/lab /run/netns && echo ready && exec env --ignore-signal=CHLD cat
"""


class Lab:
    """The namespaces of one test run; `close` or the end of the program removes them."""

    _current = None

    def __init__(self):
        tools.require("unshare", "nsenter", "ip", "mount")
        if os.geteuid() != 0:
            raise LabError("cannot build a laboratory: namespaces need root; run the tests as root")
        cgroup.sweep()
        self._unshare = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc",
             "--propagation", "private", "sh", "-c", ANCHOR_SCRIPT, "patchflag-lab"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        if self._unshare.stdout.readline() != "ready\n":
            self._unshare.wait()
            raise LabError("cannot build a laboratory: unshare(1) failed, see its message above; "
                           "a container that runs the tests must be privileged")
        self.anchor = only_child(self._unshare.pid)
        self._guests = []
        self.nets = []
        self._unpacked = {}
        self._unpacking = threading.Lock()
        atexit.register(self.close)
        end_in_order_on_signals()

    @classmethod
    def current(cls):
        """The laboratory of this program, made at first use."""
        if cls._current is None:
            cls._current = cls()
        return cls._current

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def new_name(self, name):
        """`name`, if it can be a host's: a name is used once, for files, interfaces and control groups have it too."""
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name) or name in [guest.name for guest in self._guests]:
            raise LabError(f"refusing {name} as the name of a host: it is taken or no host name; choose another")
        return name

    def adopt(self, guest):
        """Remember a host, which has to be stopped before the namespaces go."""
        self._guests.append(guest)

    def forget(self, guest):
        """The host was stopped by its owner."""
        if guest in self._guests:
            self._guests.remove(guest)

    def close(self):
        """Stop every guest and give all namespaces back; may be called again."""
        with contextlib.ExitStack() as steps:
            steps.callback(self._end)
            for guest in list(self._guests):
                steps.callback(guest.stop)

    def _end(self):
        """Let the anchor go, and with it everything that lives in its namespaces."""
        if self._unshare.poll() is None:
            self._unshare.stdin.close()
            self._unshare.stdout.close()
            self._unshare.wait()
        if Lab._current is self:
            Lab._current = None
        atexit.unregister(self.close)

    def enter(self, *argv, net=None):
        """The command line that runs `argv` inside the laboratory, in the network namespace called `net`."""
        network = f"--net={self.path('/run/netns', net)}" if net else "--net"
        return ["nsenter", f"--target={self.anchor}", "--mount", "--pid", network, "--", *map(str, argv)]

    def run(self, *argv, net=None, **options):
        """Run a command inside the laboratory to its end; its failure is an error that quotes it."""
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, **options}
        done = subprocess.run(self.enter(*argv, net=net), **options)
        if done.returncode != 0:
            raise LabError(f"cannot run {' '.join(map(str, argv))} in the laboratory: "
                           f"code {done.returncode}: {done.stderr or done.stdout}")
        return done

    def path(self, *parts):
        """A path of the laboratory's own mount namespace, as this program can open it."""
        return Path(f"/proc/{self.anchor}/root").joinpath(*(str(p).lstrip("/") for p in parts))

    def base(self, kind):
        """The unpacked base root of a kind, read-only by custom: hosts lie over it. Unpacked once."""
        from . import roots
        with self._unpacking:
            if kind not in self._unpacked:
                where = f"/run/lab/base/{kind}"
                self.run("mkdir", "-p", where)
                self.run("tar", "--extract", "--zstd", "--preserve-permissions", "--numeric-owner", "--xattrs",
                         "--xattrs-include=*", f"--file={roots.ensure(kind)}", f"--directory={where}")
                self._unpacked[kind] = where
            return self._unpacked[kind]


def only_child(pid):
    """The one child of a process that is known to have exactly one."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def end_in_order_on_signals():
    """Have SIGTERM and SIGHUP end the program as Ctrl-C does, by way of `atexit`, unless it has its own idea of them."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
