"""A Debian host with a kernel of its own, in qemu without KVM: for what a container cannot show.

Killing a container loses nothing, for the page cache is the machine's. Here the page cache is the guest's: `kill`
loses what was not yet sent to the disk, `cut` also what was sent and not flushed. One machine at a time, please: it
keeps one core busy. No network; commands go over a virtio port to a small agent in the guest.
"""

import base64
import contextlib
import itertools
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from pathlib import Path

from . import kernel, power, qemu, tools
from .disk import inside
from .error import LabError
from .host import ENVIRONMENT, Host
from .image import Image
from .lab import Lab
from .systemd import Systemd
from .sysvinit import Sysvinit
from .wait import wait_for

AGENT = Path(__file__).with_name("vm-agent.sh")
AGENT_PLACE = "/usr/local/lib/vm/agent"
BUSYBOX_PLACE = "/usr/local/lib/vm/busybox"
BESIDE_PLACE = "/usr/local/lib/vm/beside"
LEVEL = "/dev/.agent/level"
CMDLINE = "console=ttyS0 root=/dev/vda panic=1 mitigations=off random.trust_cpu=on quiet"
# Mount options under which a file system shows forgotten fsyncs sooner: no data before its metadata is promised.
HARSH = "data=writeback,nodelalloc,commit=1"
SERVICES = "/run/lab/qemu"
LEVELS = ("system-update.target", "emergency.target", "rescue.target", "graphical.target", "multi-user.target")


class Lost(LabError):
    """A command was under way, and the machine rebooted or went off; nothing is known of how far it came."""


class Machine:
    """One virtual machine: made from the base root of its kind, booted as often as a test likes, removed by `stop`."""

    def __init__(self, name, kind, lab=None, size="1200m", memory=512):
        tools.require("busybox", "mke2fs")
        self.lab = lab or Lab.current()
        self.name, self.kind, self.memory = self.lab.new_name(name), kind, memory
        self.cmdline = CMDLINE
        self.boots = []
        self.home = f"/run/lab/vms/{name}"
        self.disk = Image(self.lab, self.home, self.lab.base(kind), size)
        self.init = {"sysv": SysvinitInside, "systemd": SystemdInside}[kind](self)
        self.process = None
        self._numbers = itertools.count(1)
        self._words = ""
        self.lab.adopt(self)
        self._personalize()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _personalize(self):
        """What a virtual machine has and a container has not: a line in fstab, an agent kept by init."""
        self.write("/etc/hostname", f"{self.name}\n")
        self.write("/etc/machine-id", f"{uuid.uuid4().hex}\n")
        self.write("/etc/fstab", "/dev/vda / ext4 errors=remount-ro 0 1\n")
        self.write(AGENT_PLACE, AGENT.read_text(), 0o755)
        self.write(BUSYBOX_PLACE, Path(shutil.which("busybox")).read_bytes(), 0o755)
        self.init.keep_agent()

    # Switching on and off.

    def start(self, cmdline="", rootflags=""):
        """Switch on and return at once. The words for the kernel hold until the machine is off, over its reboots too."""
        if self.is_on:
            raise LabError(f"cannot switch {self.name} on: it is on; poweroff, kill or reboot it")
        self.disk.settle()
        self.disk.begin()
        self._words = " ".join(filter(None, (self.cmdline, f"rootflags={rootflags}" if rootflags else "", cmdline)))
        self._agent, agent = socket.socketpair()
        self._control, control = socket.socketpair()
        with agent, control, open(self.lab.path(self.home, "qemu.log"), "ab") as log:
            self.process = subprocess.Popen(
                self._command(agent.fileno(), control.fileno()), pass_fds=(agent.fileno(), control.fileno()),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self._answers, self._news = {}, threading.Condition()
        self._booted = None
        threading.Thread(target=self._listen, args=(self._agent,), name=f"agent-{self.name}", daemon=True).start()

    def boot(self, cmdline="", timeout=120, rootflags=""):
        """Switch on and wait until the boot is over."""
        number = len(self.boots) + 1
        self.start(cmdline, rootflags)
        self.wait_up(number, timeout)

    def reboot(self, timeout=120):
        """Reboot from inside, as an administrator would, and wait until the new boot is over."""
        number = len(self.boots) + 1
        self.begin("sleep 0.1; reboot")
        self.wait_up(number, timeout)

    def poweroff(self, timeout=60):
        """Shut down from inside and wait until the machine is off."""
        self.begin("sleep 0.1; poweroff")
        self.wait_off(timeout)

    def kill(self):
        """SIGKILL for qemu. Lost is what the guest had not yet sent to its disk: files without fsync, mostly."""
        self._end_qemu()
        self.disk.settle()

    def cut(self, seed):
        """As `kill`, and the disk had a volatile cache: of what was not flushed a random part is lost, page by page.

        Returns (pages kept, pages lost) of those in doubt.
        """
        self._mark()
        self._end_qemu()
        return self.disk.lose(random.Random(seed))

    def stop(self):
        """Remove the machine and its disk."""
        self._end_qemu()
        self.disk.unmount()
        if folder := os.environ.get("PATCHFLAG_TEST_CONSOLES"):
            Path(folder, f"{self.name}.console").write_text(self.console())
        self.lab.run("rm", "-rf", "--one-file-system", self.home)
        self.lab.forget(self)

    # Where it is.

    @property
    def is_on(self):
        """qemu runs; a reboot does not end it."""
        return self.process is not None and self.process.poll() is None

    def level(self):
        """sysvinit: the run level; systemd: the target reached. Empty while the boot is under way."""
        return self.init.level() if self.is_on and self._booted else ""

    def console(self):
        """What the serial console said, over all boots."""
        place = self.lab.path(self.home, "console")
        return place.read_text(errors="replace").replace("\r\n", "\n") if place.exists() else ""

    def wait_up(self, number=1, timeout=120):
        """Wait until boot `number` or a later one is over."""
        deadline = time.monotonic() + timeout
        while True:
            self.wait_for(lambda: self._must_be_on() or len(self.boots) >= number, timeout, f"boot {number}")
            with contextlib.suppress(Lost):
                self.run(self.init.wait, timeout=max(1, round(deadline - time.monotonic())))
                return

    def wait_off(self, timeout=60):
        """Wait until the machine is off."""
        self.wait_for(lambda: not self.is_on, timeout, "the end of qemu")
        self._end_qemu()
        self.disk.settle()

    def wait_for(self, predicate, timeout=60, what="the condition", interval=0.25):
        """Wait for something on this machine; the error shows the end of its console."""
        try:
            return wait_for(lambda: predicate() or time.sleep(interval), timeout, f"{what} on {self.name}")
        except LabError as error:
            raise type(error)(f"{error}{self._console_tail()}") from None

    # Inside.

    def run(self, argv, timeout=60, stdin=""):
        """Run a command (a list, or a line for sh) in the guest, as soon as its agent hears; see Host.run."""
        number, boot = self._send(argv, timeout, stdin)
        deadline = time.monotonic() + timeout + 10
        with self._news:
            while number not in self._answers:
                if not self.is_on or self._booted != boot:
                    raise Lost(f"lost {argv} on {self.name}: it rebooted, went off, or its init killed the agent")
                if not self._news.wait(0.5) and time.monotonic() > deadline:
                    raise LabError(f"no answer to {argv} on {self.name} after {timeout} s{self._console_tail()}")
            code, out, err = self._answers.pop(number)
        if code == 137 and time.monotonic() > deadline - 10:
            raise LabError(f"killed {argv} on {self.name}: not done after {timeout} s")
        return subprocess.CompletedProcess(argv, code, out, err)

    def begin(self, argv, timeout=3600):
        """Start a command in the guest and do not wait for it."""
        self._send(argv, timeout, "")

    output = Host.output

    # Its files, whether it is on or off.

    def path(self, path):
        """Where this program finds a file of the machine, which must be off; its journal is replayed first."""
        if self.is_on:
            raise LabError(f"cannot open {path} of {self.name}: it is on; use read, write or run")
        self.disk.settle()
        self.disk.mount()
        return inside(self.lab.path(self.disk.root), path)

    def read(self, path):
        """The text of a file."""
        return self.output(["cat", path]) if self.is_on else Host.read(self, path)

    def exists(self, path):
        """There is something with this name, be it a dangling link."""
        if self.is_on:
            return self.run(f"test -e {shlex.quote(path)} || test -L {shlex.quote(path)}").returncode == 0
        return Host.exists(self, path)

    write = Host.write
    symlink = Host.symlink
    remove = Host.remove

    def chroot(self, *argv, timeout=300):
        """Run a command in the root without its init, with no network; the machine must be off."""
        self.path("/")
        return Host.chroot(self, *argv, timeout=timeout)

    def install_tree(self, folder):
        """Copy what `make install DESTDIR=folder` made into the root; the machine must be off."""
        self.path("/")
        Host.install_tree(self, folder)

    def add_service(self, name, *argv):
        """Have init keep a program running at the normal level, from the next boot on."""
        self.init.add_service(name, argv)

    def run_beside(self, program):
        """Have a program for sh run beside the agent, at every level and from early on, from the next boot on."""
        self.write(BESIDE_PLACE, program, 0o755)

    # How it is done.

    def _command(self, agent, control):
        """The command line of qemu, which runs in a root of its own and inherits its two sockets."""
        root = services(self.lab)
        home = f"/vms/{self.name}"
        return self.lab.enter(
            "chroot", root, "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
            "-M", "q35", "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "qemu64", "-smp", "1", "-m", str(self.memory),
            "-kernel", "/vmlinuz", "-initrd", "/initrd", "-append", self._words,
            "-chardev", f"file,id=console,path={home}/console,append=on", "-serial", "chardev:console",
            "-chardev", f"socket,id=control,fd={control}", "-mon", "chardev=control,mode=control",
            "-chardev", f"socket,id=agent,fd={agent}", "-device", "virtio-serial-pci",
            "-device", "virtserialport,chardev=agent,name=agent",
            "-blockdev", f"driver=file,node-name=image,filename={home}/disk.live,cache.direct=off,cache.no-flush=off",
            "-blockdev", f"driver=file,node-name=writes,filename={home}/writes",
            "-blockdev", "driver=blklogwrites,node-name=noted,file=image,log=writes,log-sector-size=512",
            "-device", "virtio-blk-pci,id=vda,drive=noted,write-cache=on,discard=off,write-zeroes=off")

    def _listen(self, agent):
        """Take what the agent says until qemu ends. Anything else on the line is a remnant of a boot that was cut short."""
        with contextlib.suppress(OSError), agent.makefile("r", encoding="ascii", errors="replace") as lines:
            for line in lines:
                words = line.split()
                with self._news:
                    if len(words) == 2 and words[0] == "hello":
                        self._hello(words[1])
                    elif len(words) == 4 and words[0].isdigit() and words[1].isdigit():
                        self._answers[int(words[0])] = (int(words[1]), decoded(words[2]), decoded(words[3]))
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _hello(self, boot_id):
        """A boot's agent is there; one that init killed and started again is the same boot, but its commands are lost."""
        again = self._booted[1] + 1 if self._booted and self._booted[0] == boot_id else 0
        self._booted = (boot_id, again)
        if not again:
            self.boots.append(power.Boot(len(self.boots) + 1, time.time(), self._words, self.process.pid))

    def _send(self, argv, timeout, stdin):
        line = argv if isinstance(argv, str) else shlex.join(map(str, argv))
        self.wait_for(lambda: self._must_be_on() or self._booted, 60, "its agent")
        script = f"export {shlex.join(ENVIRONMENT)}\n{line}\n"
        with self._news:
            number, boot = next(self._numbers), self._booted
            self._agent.sendall(f"{number} {encoded(script)} {encoded(stdin)} {timeout}\n".encode())
        return number, boot

    def _must_be_on(self):
        if not self.is_on:
            said = self.lab.path(self.home, "qemu.log").read_text(errors="replace")[-500:] if self.process else "never started"
            raise LabError(f"{self.name} is off: {said}{self._console_tail()}")

    def _mark(self):
        """Write the mark, by qemu's monitor; what was under way then is let through, so that the log has no hole before it."""
        write = f"qemu-io -d /machine/peripheral/vda/virtio-backend \"write -P 77 {self.disk.mark} 512\""
        with self._control.makefile("rw") as wire:
            wire.readline()
            for name, arguments in (("qmp_capabilities", {}), ("human-monitor-command", {"command-line": write}), ("stop", {})):
                wire.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
                wire.flush()
                answer = next((answer for answer in map(json.loads, wire) if "event" not in answer), {"error": "qemu is gone"})
                if "error" in answer or answer["return"]:
                    raise LabError(f"cannot mark the moment on the disk of {self.name}: {answer}")

    def _end_qemu(self):
        if self.process is None:
            return
        for pid in power.descendants(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._booted = None
        self._agent.close()
        self._control.close()

    def _console_tail(self):
        return "; its console ended with:\n" + "\n".join(self.console().splitlines()[-15:])


class SysvinitInside(Sysvinit):
    """sysvinit, asked from inside: a virtual machine's processes and /run are out of the laboratory's sight.

    init goes through its table in order and waits for the rc scripts: a line behind them says that they have ended.
    """

    wait = f"until [ -s {LEVEL} ]; do sleep 0.3; done"

    def level(self):
        """The run level whose rc scripts have ended, or nothing."""
        return self.host.run(f"cat {LEVEL} 2>/dev/null").stdout.strip()

    def keep_agent(self):
        """Before the rc scripts, so that it hears at once."""
        say = f"/bin/sh -c 'echo $RUNLEVEL >{LEVEL}'"
        inittab = self.host.read("/etc/inittab")
        inittab = inittab.replace("\nsi::sysinit:", f"\nva:S12345:respawn:{AGENT_PLACE}\nsi::sysinit:", 1)
        inittab = inittab.replace("\n~~:S:wait:", f"\nvs:S:once:{say}\n~~:S:wait:", 1)
        self.host.write("/etc/inittab", f"{inittab}\nvl:12345:once:{say}\n")


class SystemdInside(Systemd):
    """systemd, asked from inside as the laboratory's hosts are."""

    wait = ("until case $(systemctl is-system-running) in running|degraded|maintenance) true;; *) false;; esac;"
            " do sleep 0.5; done")

    def level(self):
        """The highest target that is reached, or nothing."""
        active = self.host.run(["systemctl", "is-active", *LEVELS]).stdout.split()
        return next((target for target, state in zip(LEVELS, active) if state == "active"), "")

    def keep_agent(self):
        """As early as /dev is there, in every target, until the very end."""
        unit = "/etc/systemd/system/vm-agent.service"
        self.host.write(unit, (
            "[Unit]\nDescription=agent of the test laboratory\nDefaultDependencies=no\nIgnoreOnIsolate=yes\n\n"
            f"[Service]\nExecStart={AGENT_PLACE}\nRestart=always\nRestartSec=1\nKillMode=process\n\n"
            "[Install]\nWantedBy=sysinit.target\n"))
        self.host.symlink(unit, "/etc/systemd/system/sysinit.target.wants/vm-agent.service")
        # Without udev nobody says that the console is there, and a boot would wait 90 s for it.
        self.host.symlink("/dev/null", "/etc/systemd/system/serial-getty@.service")


def services(lab):
    """The root that qemu runs in, with the kernel and the machines' folders in it; made once."""
    if not lab.path(SERVICES, "vmlinuz").exists():
        lab.run("sh", "-euc", """
            root=$1 qemu=$2 kernel=$3
            mkdir -p "$root"
            tar --extract --zstd --file="$qemu" --directory="$root"
            mkdir "$root/vms"
            mount --bind /run/lab/vms "$root/vms"
            mount --bind /dev "$root/dev"
            tar --extract --zstd --file="$kernel" --directory="$root"
            """, "sh", SERVICES, qemu.ensure(), kernel.ensure())
    return SERVICES


def encoded(text):
    """As the agent reads it: one word."""
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode() or "-"


def decoded(word):
    """What the agent wrote as one word."""
    return "" if word == "-" else base64.b64decode(word).decode(errors="replace")
