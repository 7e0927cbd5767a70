"""A Debian host with its own init, network address and disk, as a test sees it."""

import contextlib
import os
import shlex
import shutil
import subprocess
import time
import uuid
from pathlib import Path

from . import cgroup, power
from .disk import Disk, inside
from .error import LabError
from .lab import Lab
from .sysvinit import Sysvinit
from .systemd import Systemd
from .wait import INTERVAL, wait_for

INITS = {"sysv": Sysvinit, "systemd": Systemd, "server": Systemd}
CMDLINE = "BOOT_IMAGE=/vmlinuz root=/dev/vda ro quiet"

# A guest's root may do to the guest what it likes; the machine's clock, modules and kernel log are not the guest's.
BOUNDING_SET = "-sys_module,-sys_time,-sys_rawio,-syslog,-mknod,-wake_alarm,-block_suspend"
ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb")


class Log:
    """What a host's console said, over all its boots."""

    def __init__(self, name):
        self._bytes = bytearray()
        folder = os.environ.get("PATCHFLAG_TEST_CONSOLES")
        self._file = open(Path(folder, f"{name}.console"), "ab", buffering=0) if folder else None

    def write(self, data):
        """Append what the console said."""
        self._bytes += data
        if self._file:
            self._file.write(data)

    def close(self):
        """No more will come."""
        if self._file:
            self._file.close()

    def __str__(self):
        return self._bytes.decode(errors="replace").replace("\r\n", "\n")


class Host:
    """One host: made from the base root of its kind, booted as often as a test likes, removed by `stop`."""

    def __init__(self, name, kind, net=None, lab=None, size="2g"):
        self.lab = lab or (net.lab if net else Lab.current())
        self.name, self.kind = self.lab.new_name(name), kind
        self.boots = []
        self.cmdline = CMDLINE
        self._power = None
        self._known_init = self._init_of = None
        self.init = INITS[kind](self)
        self.disk = Disk(self.lab, name, self.lab.base(kind), size)
        self.link = net.attach(name, lambda text: self.write("/etc/hosts", text)) if net else None
        self.log = Log(name)
        self.groups = cgroup.create(name)
        self.lab.adopt(self)
        self.write("/etc/hostname", f"{name}\n")
        self.write("/etc/machine-id", f"{uuid.uuid4().hex}\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # Switching on and off.

    def start(self, cmdline=""):
        """Switch on and return at once; `cmdline` is added to the kernel command line of this one boot."""
        if self.is_on:
            raise LabError(f"cannot switch {self.name} on: it is on; poweroff, power_cut or reboot it")
        self._power = power.Power(self, cmdline)
        self._power.start()

    def boot(self, cmdline="", timeout=60):
        """Switch on and wait until the boot is over."""
        number = len(self.boots) + 1
        self.start(cmdline)
        self.wait_up(number, timeout)

    def reboot(self, timeout=60):
        """Reboot from inside, as an administrator would, and wait until the new boot is over."""
        number = len(self.boots) + 1
        self.run(["reboot"])
        self.wait_up(number, timeout)

    def poweroff(self, timeout=60):
        """Shut down from inside and wait until the host is off."""
        self.run(["poweroff"])
        self.wait_off(timeout)

    def power_cut(self):
        """Kill the whole guest at one moment; its disk is as it was then. `boot` switches it on again."""
        if self.is_on:
            self._power.cut()
        self.wait_off(30)

    def stop(self):
        """Remove the host: guest, network, disk, control groups; what fails does not keep the rest from being done."""
        with contextlib.ExitStack() as steps:
            steps.callback(self.lab.forget, self)
            steps.callback(self.log.close)
            for group in self.groups:
                steps.callback(cgroup.remove, group)
            steps.callback(self.disk.remove)
            if self.link:
                steps.callback(self.link.remove)
            self.power_cut()

    # Where it is.

    @property
    def is_on(self):
        """The host runs, or is between two boots of a reboot."""
        return self._power is not None and self._power.is_alive()

    @property
    def end(self):
        """How the host went off, while it is off."""
        return self._power.end if self._power and not self.is_on else None

    @property
    def init_pid(self):
        """The machine's number of the guest's process 1, or None while there is no init."""
        process = self._power.process if self.is_on else None
        if process is None or process.poll() is not None:
            return None
        if self._init_of != process.pid:
            found = power.find_init(process.pid, self.init.process, depth=3)
            if found is None:
                return None
            self._known_init, self._init_of = found, process.pid
        return self._known_init

    def level(self):
        """sysvinit: the run level; systemd: the target reached. Empty while the boot is under way."""
        return self.init.level() if self.init_pid else ""

    def wait_up(self, number=1, timeout=60):
        """Wait until boot `number` or a later one is over."""
        self.wait_for(lambda: self._must_be_on() and len(self.boots) >= number and self._stays_up(), timeout, f"boot {number}")

    def wait_off(self, timeout=60):
        """Wait until the host is off; an error of the laboratory in between is raised here."""
        if self._power:
            self._power.join(timeout)
            if self._power.is_alive():
                raise LabError(f"waited {timeout} s in vain for {self.name} to go off{self._console_tail()}")
            if self._power.failure:
                raise self._power.failure

    def wait_for(self, predicate, timeout=60, what="the condition"):
        """Wait for something on this host; the error shows the end of its console."""
        try:
            return wait_for(predicate, timeout, f"{what} on {self.name}")
        except LabError as error:
            raise LabError(f"{error}{self._console_tail()}") from None

    def _stays_up(self):
        """Up at two looks: between two stages of a boot there is a moment when nothing seems to be under way."""
        if not self._is_up():
            return False
        time.sleep(INTERVAL)
        return self._is_up()

    def _must_be_on(self):
        """Stop a wait that cannot end well."""
        if not self.is_on:
            self.wait_off()
            raise LabError(f"{self.name} went off during its boot ({self.end.value}){self._console_tail()}")
        return True

    def _is_up(self):
        return self.init_pid is not None and self.init.is_up()

    def _console_tail(self):
        return "; its console ended with:\n" + "\n".join(str(self.log).splitlines()[-15:])

    # Inside.

    def enter(self, *argv):
        """The command line that runs `argv` inside the running guest.

        A shell waits for it, where nsenter(1) would, if it forked: nsenter stops itself when its child is stopped, and a
        shutdown stops everybody before it kills them.
        """
        pid = self.init_pid
        if not pid:
            raise LabError(f"cannot run {shlex.join(map(str, argv))} on {self.name}: it is not running; boot it first")
        return cgroup.joined(cgroup.of(pid), [
            "nsenter", f"--target={pid}", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--root", "--wd",
            "--no-fork", "--", "/bin/sh", "-c", '"$@"; exit $?', "sh", "env", "-i", *ENVIRONMENT,
            "setpriv", f"--bounding-set={BOUNDING_SET}", *map(str, argv)])

    def run(self, argv, timeout=60, stdin=""):
        """Run a command (a list, or a line for sh) in the running guest; returns subprocess's CompletedProcess."""
        argv = ["sh", "-c", argv] if isinstance(argv, str) else list(argv)
        process = subprocess.Popen(self.enter(*argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True)
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            power.kill_inside(process)
            process.communicate()
            raise LabError(f"killed {shlex.join(map(str, argv))} on {self.name}: not done after {timeout} s") from None
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def output(self, argv, timeout=60, stdin=""):
        """Run a command that must succeed, and return what it printed."""
        done = self.run(argv, timeout, stdin)
        if done.returncode != 0:
            raise LabError(f"cannot run {argv} on {self.name}: code {done.returncode}: {done.stderr or done.stdout}")
        return done.stdout

    # Its files, whether it is on or off.

    def path(self, path):
        """Where this program finds a file of the host; with /run, /tmp and /proc as the guest has them while it is on."""
        pid = self.init_pid
        return inside(f"/proc/{pid}/root" if pid else self.lab.path(self.disk.root), path)

    def exists(self, path):
        """There is something with this name, be it a dangling link."""
        return os.path.lexists(self.path(path))

    def read(self, path):
        """The text of a file."""
        return self.path(path).read_text(errors="replace")

    def write(self, path, text, mode=0o644):
        """Make or replace a file of root's, with the folders above it; who reads it at work finds the old one or the new one."""
        where = self.path(path)
        where.parent.mkdir(parents=True, exist_ok=True)
        draft = where.with_name(f".{where.name}.draft")
        draft.write_bytes(text if isinstance(text, bytes) else text.encode())
        draft.chmod(mode)
        draft.rename(where)

    def symlink(self, target, path):
        """Make a symbolic link, with the folders above it."""
        where = self.path(path)
        where.parent.mkdir(parents=True, exist_ok=True)
        where.symlink_to(target)

    def remove(self, path):
        """Remove a file, link or tree; not there is fine."""
        where = self.path(path)
        if where.is_dir() and not where.is_symlink():
            shutil.rmtree(where)
        else:
            where.unlink(missing_ok=True)

    def install_tree(self, folder):
        """Copy what `make install DESTDIR=folder` made into the root, owners, modes and links as they are.

        By tar, which follows the root's own links of folders (/lib to /usr/lib) where cp would refuse.
        """
        with subprocess.Popen(["tar", "--create", "--numeric-owner", f"--directory={folder}", "."],
                              stdout=subprocess.PIPE) as packer:
            self.lab.run("tar", "--extract", "--numeric-owner", "--preserve-permissions", "--keep-directory-symlink",
                         "--no-overwrite-dir", f"--directory={self.disk.root}", stdin=packer.stdout)
        if packer.returncode != 0:
            raise LabError(f"cannot install {folder} on {self.name}: tar ended with {packer.returncode}")

    def chroot(self, *argv, timeout=300):
        """Run a command in the root without its init, with no network: what an installation of packages needs."""
        return self.lab.run("unshare", "--net", "chroot", self.disk.root, "env", "-i", *ENVIRONMENT,
                            "DEBIAN_FRONTEND=noninteractive", *argv, timeout=timeout)

    def add_service(self, name, *argv):
        """Have init keep a program running at the normal level, from the next boot on."""
        self.init.add_service(name, argv)

    # What switching on calls.

    def prepare_boot(self, words):
        """Make disk and network ready; returns the command that boots the guest and its kernel command line."""
        self.disk.make_ready()
        if self.link:
            self.link.up()
        cmdline = f"{self.cmdline} {words}".strip()
        cmdline_file = f"{self.disk.home}/cmdline"
        self.lab.path(cmdline_file).write_text(cmdline + "\n")
        return self.init.command(cmdline_file, cmdline.split()), cmdline

    def enter_network(self, *argv):
        """The command line that runs `argv` in the laboratory, on this host's network if it has one."""
        return self.lab.enter(*argv, net=self.link.namespace if self.link else None)
