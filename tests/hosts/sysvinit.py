"""What the laboratory has to know of sysvinit: how it is started, which level it is at, how it keeps a service."""

import struct
from pathlib import Path

from . import power

BOOT = Path(__file__).with_name("boot-sysv.sh")
RUN_LEVEL = 1
SINGLE_USER_PROGRAM = b"/bin/sleep\0infinity"  # as the roots' inittab has it
RECORD = struct.Struct("hi376x")


class Sysvinit:
    """The init of a host whose root has sysvinit."""

    process = "init"
    reboot = 129
    poweroff = 130

    def __init__(self, host):
        self.host = host

    def command(self, cmdline_file, words):
        """Start the root as a container; the kernel gives init those words that it does not know itself."""
        host = self.host
        arguments = [word for word in words if "=" not in word and word not in ("ro", "rw", "quiet")]
        return host.enter_network(
            "unshare", "--fork", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--kill-child",
            *([] if host.link else ["--net"]), "--propagation", "private",
            BOOT, host.disk.root, host.name, cmdline_file, *arguments)

    def level(self):
        """The run level as runlevel(8) would print it, or nothing while the boot has not come to one.

        A boot with `single` on its command line leaves no record; it is told by the program that holds its console.
        """
        utmp = self.host.path("/run/utmp")
        if utmp.exists():
            for kind, pid in iter_records(utmp.read_bytes()):
                if kind == RUN_LEVEL:
                    return chr(pid % 256)
        return "S" if self._runs(SINGLE_USER_PROGRAM) else ""

    def is_up(self):
        """A level is reached and its rc scripts have ended."""
        return self.level() != "" and not self._runs(b"/etc/init.d/rc")

    def _runs(self, words):
        """A program with these words on its command line runs below init."""
        init = self.host.init_pid
        for pid in power.descendants(init) if init else ():
            try:
                if words in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return True
            except OSError:
                continue
        return False

    def add_service(self, name, argv):
        """Have init start a program at the levels 2 to 5 and start it again whenever it ends."""
        inittab = self.host.read("/etc/inittab")
        number = inittab.count(":2345:respawn:")
        self.host.write(f"/usr/local/sbin/{name}", f"#!/bin/sh\nexec {' '.join(argv)} >>/var/log/{name}.log 2>&1\n", 0o755)
        self.host.write("/etc/inittab", f"{inittab}L{number}:2345:respawn:/usr/local/sbin/{name}\n")


def iter_records(utmp):
    """(type, pid) of each record of a utmp(5) file."""
    for start in range(0, len(utmp) - RECORD.size + 1, RECORD.size):
        yield RECORD.unpack_from(utmp, start)
