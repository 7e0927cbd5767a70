"""Proof that a test run left the machine as it was.

What is compared: processes, listening sockets, mounts, network interfaces and named namespaces, control groups, loop
devices, the files that init and cron read, and a few kernel settings. Other programs may be at work on the
machine: processes and sockets count when they are ours, that is, below this process. `run` adopts what has left its
parent, so that a daemon stays below it too.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from . import cgroup, power
from .error import LabError
from .wait import INTERVAL, wait_for

SET_CHILD_SUBREAPER = 36
# Namespaces, and groups whose processes are killed, go a moment late; on a machine with other work, many moments.
SETTLE = 20
INIT_FILES = ("/etc/inittab", "/etc/init.d", "/etc/rc*.d", "/etc/systemd/system", "/run/systemd/system",
              "/run/systemd/transient", "/run/systemd/nspawn", "/lib/systemd/system", "/etc/crontab", "/etc/cron.*",
              "/var/spool/cron", "/system-update", "/etc/patch*")
SETTINGS = ("/proc/sys/kernel/hostname", "/proc/sys/kernel/printk", "/proc/sys/net/ipv4/ip_forward")


class Guard:
    """A context: on leaving it, every difference is named in the error."""

    def __enter__(self):
        self.before = snapshot()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.check()

    def check(self):
        """Fail if there is a difference that does not go away: the kernel removes namespaces a moment late."""
        found = []

        def is_as_before():
            found[:] = self.differences()
            return not found
        try:
            wait_for(is_as_before, SETTLE)
        except LabError:
            raise LabError("the machine is not as it was:\n  " + "\n  ".join(found)) from None

    def differences(self):
        """One line for each thing that came or went."""
        after = snapshot()
        lines = [f"left behind: {what}: {thing}" for what, things in after.items()
                 for thing in sorted(things - self.before[what])]
        return lines + [f"gone: {what}: {thing}" for what, things in self.before.items() if what not in OURS_ONLY
                        for thing in sorted(things - after[what])]


def snapshot():
    """What the machine is like now: names of things by what they are."""
    return {what: set(look()) for what, look in LOOKS.items()}


def our_processes():
    """This process and all below it, the dead that nobody has waited for left out."""
    yield os.getpid()
    for pid in power.descendants(os.getpid()):
        if state_of(pid) not in ("Z", "X", ""):
            yield pid


def processes():
    """Processes below this one, told by number, start time and command line."""
    for pid in our_processes():
        if pid != os.getpid():
            try:
                start = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
                words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            yield f"{pid} (started at tick {start}) {words.strip()}"


def state_of(pid):
    """The one-letter state of a process; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


def sockets():
    """Listening sockets that one of our processes holds, and those that no process of the machine holds."""
    listening = dict(listening_sockets())
    holders = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for inode in socket_inodes(pid):
            holders.setdefault(inode, set()).add(int(pid))
    ours = set(our_processes())
    for inode, name in listening.items():
        owners = holders.get(inode, set())
        if not owners or owners & ours:
            yield name


def listening_sockets():
    """(inode, name) of each socket of this network namespace that waits for others."""
    for protocol, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for line in Path(f"/proc/self/net/{protocol}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == state:
                address, port = fields[1].split(":")
                yield fields[9], f"{protocol} {address} port {int(port, 16)}"
    for line in Path("/proc/self/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[3], 16) & 0x10000 and len(fields) > 7:
            yield fields[6], f"unix {fields[7]}"


def socket_inodes(pid):
    """The sockets that a process holds open."""
    try:
        for descriptor in os.scandir(f"/proc/{pid}/fd"):
            target = os.readlink(descriptor.path)
            if target.startswith("socket:["):
                yield target[8:-1]
    except OSError:
        return


def mounts():
    """Mounts of this mount namespace, with their options: a file system turned read-only shows."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, file_system = line.split(" - ")
        kind, source, options = file_system.split(" ", 2)
        yield f"{mount.split()[4]} {kind} {source} {mount.split()[5]} {options.split(',')[0]}"


def interfaces():
    """Network interfaces of this namespace."""
    return [name for _, name in socket.if_nameindex()]


def namespaces():
    """Network namespaces that have a name."""
    folder = Path("/run/netns")
    return os.listdir(folder) if folder.is_dir() else []


def control_groups():
    """Guests' groups, of this program or of one that is dead."""
    for group in cgroup.guests():
        owner = cgroup.owner_of(group)
        if owner in our_processes() or not Path(f"/proc/{owner}").exists():
            yield str(group)


def loop_devices():
    """Loop devices in use, with the file behind each; not those that somebody else has mounted."""
    used = {device.parts[3]: device.read_text().strip() for device in Path("/sys/block").glob("loop*/loop/backing_file")}
    others = mounted_by_others() if used else ""
    return [f"{name} {file}" for name, file in used.items() if f" /dev/{name} " not in others]


def mounted_by_others():
    """The mount tables of all mount namespaces in which there is no process of ours."""
    tables, ours = {}, {namespace_of(pid) for pid in (1, *our_processes())}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        namespace = namespace_of(pid)
        if namespace and namespace not in ours and namespace not in tables:
            with contextlib.suppress(OSError):
                tables[namespace] = Path(f"/proc/{pid}/mountinfo").read_text()
    return "\n".join(tables.values())


def namespace_of(pid):
    """The mount namespace of a process; empty if it has ended or is the kernel's."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return ""


def init_files():
    """What init and cron read at their next start, told by size and time of change, and the flags of a patch run."""
    for pattern in INIT_FILES:
        for top in Path("/").glob(pattern.lstrip("/")):
            for path in (top, *sorted(top.rglob("*"))) if top.is_dir() and not top.is_symlink() else (top,):
                status = path.lstat()
                if not path.is_dir():
                    yield f"{path} ({status.st_size} bytes, changed {status.st_mtime_ns})"


def settings():
    """Kernel settings that a container without walls would change for the machine."""
    for name in SETTINGS:
        yield f"{name} {Path(name).read_text().split()}"


LOOKS = {"process": processes, "socket": sockets, "mount": mounts, "interface": interfaces, "namespace": namespaces,
         "control group": control_groups, "loop device": loop_devices, "init file": init_files, "setting": settings}
OURS_ONLY = ("process", "socket", "control group")


def run(argv):
    """Run a command under guard; returns its code, or raises with the differences.

    This process is the parent of every orphan below it and so has to wait for them, which is why it does nothing else.
    """
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with Guard():
        command = subprocess.Popen(argv)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda caught, _: command.send_signal(caught))
        reaper = threading.Thread(target=reap_others, args=(command.pid,), daemon=True)
        reaper.start()
        return command.wait()


def reap_others(command):
    """Wait for every orphan that ends, for ever; the command itself is waited for by who started it."""
    while True:
        for pid in power.children(os.getpid()):
            if pid != command and state_of(pid) == "Z":
                os.waitpid(pid, os.WNOHANG)
        time.sleep(INTERVAL)
