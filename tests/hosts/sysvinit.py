"""What the laboratory has to know of sysvinit: how it is started, which level it is at, how it keeps a service."""

from pathlib import Path

from .init import Init

BOOT = Path(__file__).with_name("boot-sysv.sh")


class Sysvinit(Init):
    """The init of a host whose root has sysvinit."""

    process = "init"
    reboot = 129
    poweroff = 130

    def command(self, cmdline_file, words):
        """Start the root as a container; the kernel gives init those words that it does not know itself."""
        host = self.host
        arguments = [word for word in words if "=" not in word and word not in ("ro", "rw", "quiet")]
        return host.enter_network(
            "unshare", "--fork", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--kill-child",
            *([] if host.link else ["--net"]), "--propagation", "private",
            BOOT, host.disk.root, host.name, cmdline_file, *arguments)

    def level(self):
        """The run level as runlevel(8) would print it, or nothing while the boot has not come to one."""
        return self.run_level() or ("S" if self.is_single_user() else "")

    def is_up(self):
        """A level is reached and its rc scripts have ended."""
        return self.level() != "" and not self.runs(b"/etc/init.d/rc")

    def add_service(self, name, argv):
        """Have init start a program at the levels 2 to 5 and start it again whenever it ends."""
        inittab = self.host.read("/etc/inittab")
        number = inittab.count(":2345:respawn:")
        self.host.write(f"/usr/local/sbin/{name}", f"#!/bin/sh\nexec {' '.join(argv)} >>/var/log/{name}.log 2>&1\n", 0o755)
        self.host.write("/etc/inittab", f"{inittab}L{number}:2345:respawn:/usr/local/sbin/{name}\n")
