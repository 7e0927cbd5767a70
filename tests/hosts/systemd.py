"""What the laboratory has to know of systemd: how it is started, where it is in its boot, how it keeps a service."""

from .init import Init

TARGETS = ("system-update.target", "emergency.target", "rescue.target", "graphical.target", "multi-user.target")


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
        """The target that the boot went to, or nothing while none is reached."""
        states = self.host.run(["systemctl", "is-active", *TARGETS]).stdout.split()
        return next((target for target, state in zip(TARGETS, states) if state == "active"), "")

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
