"""What the laboratory has to know of systemd: how it is started, where it is in its boot, how it keeps a service."""

import os
from pathlib import Path

from .init import Init

TARGETS = {"5": "graphical.target", "3": "multi-user.target", "1": "rescue.target"}
DEFAULT = "/run/systemd/generator.early/default.target"  # the one that a generator puts in the place of the host's own


class Systemd(Init):
    """The init of a host whose root has systemd."""

    process = "systemd"
    reboot = 133
    poweroff = 0

    def command(self, cmdline_file, words):
        """Start the root as a container.

        systemd in a container reads its options from its own arguments, everybody else from /proc/cmdline. nspawn mounts
        below /proc last, when the laboratory's files are out of its sight: hence the step in between.
        """
        host = self.host
        network = f"--network-namespace-path=/run/netns/{host.link.namespace}" if host.link else "--private-network"
        return host.lab.enter(
            "systemd-nspawn", "--quiet", f"--directory={host.disk.root}", "--boot", "--register=no", "--keep-unit",
            f"--machine={host.name}", f"--hostname={host.name}", "--console=read-only", "--link-journal=no",
            "--resolv-conf=off", "--timezone=off", network,
            f"--bind-ro={cmdline_file}:/run/kernel-cmdline", "--bind-ro=/run/kernel-cmdline:/proc/cmdline",
            "--", *words)

    def level(self):
        """The target that the boot has reached; system-update.target from when it is made for.

        Nothing while a boot is under way. A console that waits for the administrator belongs to one of two targets, which only
        systemd can tell.
        """
        if self.is_single_user():
            active = self.host.run(["systemctl", "is-active", "emergency.target"]).stdout.strip() == "active"
            return "emergency.target" if active else "rescue.target"
        if self.run_level():
            return TARGETS.get(self.run_level(), "")
        default = self.host.path(DEFAULT)
        return Path(os.readlink(default)).name if default.is_symlink() else ""

    def is_up(self):
        """The boot did its last job, or waits in rescue mode; a boot into an offline update never gets there."""
        return self.run_level() != "" or self.is_single_user()

    def add_service(self, name, argv):
        """Have systemd start a program at the normal level and start it again whenever it ends."""
        unit = f"{name}.service"
        self.host.write(f"/etc/systemd/system/{unit}", (
            f"[Unit]\nDescription={name} of the test laboratory\nAfter=network.target\n\n"
            f"[Service]\nExecStart={' '.join(argv)}\nRestart=always\nRestartSec=1\n\n"
            "[Install]\nWantedBy=multi-user.target\n"))
        self.host.symlink(f"/etc/systemd/system/{unit}", f"/etc/systemd/system/multi-user.target.wants/{unit}")
