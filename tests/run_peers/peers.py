"""The hosts of a scenario: the real client of a kind, or patch-run under that client's name, over the same configuration and scripts.

A host sees a machine of its own: an /etc with little in it, an empty /run, /var/lib, /var/log and /var/spool, its own boot identity,
no program that reboots, and no right to. What a client leaves in one of them stays for its next run; a reboot empties /run.
"""

import contextlib
import os
import re
import shutil
import signal
import uuid
from pathlib import Path

from tests.hosts.error import LabError
from tests.hosts.wait import wait_for
from tests.lockd_clients import updaters
from tests.lockd_clients.updaters import PHASES

from .scenario import FOREMAN, MODERN, OLD, OLD_V2, Script

HERE = Path(__file__).parent
DIRECTORIES = (*PHASES, "reboot", "ext_notify", "on_failure")
OWN = ("run", "var/lib", "var/log", "var/spool", "usr/local/sbin")
# What could end the machine. A bug of the program under test shall not find them.
DANGEROUS = ("shutdown", "reboot", "halt", "poweroff", "telinit", "systemctl", "init")
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}UTC - (DEBUG|INFO|WARNING|ERROR|CRITICAL) - MainThread - ")
QUIET = 10
USER = "peer"
USER_ID = 4711


class Peer:
    """A host of one side of a scenario. Mixed into the host of a client."""

    kind = host = tool = None
    old_name = "dlm_engine_updater"

    def __init__(self, stage, case, folder, service, lock, ours):
        self.stage, self.case, self.ours, self.environment = stage, case, ours, {}
        super().__init__(folder, service, self.host, lock, witness=None)
        recorder = (HERE / "recorder.sh").read_text()
        self.write("recorder", recorder.replace("@HERE@", str(self.folder)).replace("@STATE@", str(self.state))).chmod(0o755)
        self.write("record", "").chmod(0o666)
        self.folder.chmod(0o711)
        self.build_machine()

    def build_machine(self):
        """What this host sees in place of the machine's."""
        root = self.folder / "root"
        shutil.copytree(self.stage.etc, root / "etc")
        (root / "etc/hosts").touch()
        for name in OWN:
            (root / name).mkdir(parents=True)
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        with (root / "etc/passwd").open("a") as users:
            users.write(f"{USER}:x:{USER_ID}:{USER_ID}::{home}:/bin/sh\n")
        with (root / "etc/group").open("a") as groups:
            groups.write(f"{USER}:x:{USER_ID}:\n")
        shutil.copy(HERE / "sudo.sh", root / "usr/local/sbin/sudo")
        self.write("never", "#!/bin/sh\n. " + str(self.folder / "recorder") + "\n").chmod(0o755)
        if self.case.default_path:
            place = root / self.default_path.lstrip("/")
            place.parent.mkdir(parents=True)
            shutil.copy(self.config, place)
        self.reboot()

    def reboot(self):
        """The host has been rebooted: another boot identity, and nothing left in /run."""
        self.write("boot_id", f"{uuid.uuid4()}\n")
        shutil.rmtree(self.folder / "root/run")
        (self.folder / "root/run").mkdir()

    def mounts(self):
        root = self.folder / "root"
        pairs = [(root / "etc", "/etc"), *super().mounts(), *((root / name, f"/{name}") for name in OWN),
                 (self.folder / "boot_id", "/proc/sys/kernel/random/boot_id")]
        return pairs + [(self.folder / "never", path) for path in dangerous()]

    def variables(self, shims):
        self.inherited = super().variables(shims) | self.environment
        return self.inherited

    def shims(self, hurry):
        unsorted = self.kind != FOREMAN or self.case.unsorted
        return [] if self.ours else super().shims(hurry) + ([] if unsorted else [HERE / "sorted.py"])

    def command(self):
        """The real client, or ours by its name, without the right to reboot."""
        program, option, config = super().command()
        if self.ours:
            program = self.stage.tools / "usr/sbin" / self.old_name
        named = [] if self.case.default_path else [option, config]
        return "setpriv", "--bounding-set", "-sys_boot", program, *named

    def fill(self, _hold):
        scripts = {phase: (Script(),) for phase in (*PHASES, "reboot", "on_failure")}
        scripts["needs_update"] = (Script(rc=1),)
        if self.case.notify:
            scripts["ext_notify"] = (Script(),)
        for phase, wanted in (scripts | self.case.scripts).items():
            folder = self.folder / "home/dlm_engine_updater" / phase[5:] if phase.startswith("user ") else self.scripts / phase
            folder = folder.with_name(f"{folder.name}.d")
            if wanted is None:
                folder.rmdir()
                continue
            folder.mkdir(parents=True, exist_ok=True)
            for script in wanted:
                self.install(folder, script)

    def install(self, folder, script):
        """Put a script there."""
        path = folder / script.name
        if script.folder:
            path.mkdir()
        elif script.link is not None:
            path.symlink_to(script.link.format(here=self.folder))
        else:
            does = script.does.format(here=self.folder)
            text = f"{script.shebang}\n. {self.folder}/recorder\n{does}\nexit {script.rc}\n" if script.raw is None else script.raw
            path.write_text(text.format(here=self.folder) if script.raw is not None else text)
            os.chown(path, script.owner, script.owner)
            path.chmod(script.mode)

    def settings(self):
        """As the document has it, then as the scenario has it; None takes a key out."""
        values = super().settings() | self.quick() | self.wanted()
        return {key: value.format(here=self.folder, lock=self.lock, url=self.service.url) if isinstance(value, str) else value
                for key, value in values.items() if value is not None}

    def configure(self):
        super().configure()
        if self.case.text:
            self.config.write_text(self.case.text(self.config.read_text()))

    def set_state(self, text):
        """The state file says this."""
        self.state.write_text(text)

    def lines_of_scripts(self):
        """The lines that scripts say of themselves, as they are in the log."""
        return " | ".join(re.findall(r" - INFO - MainThread - ((?:said|told) .*)", self.logged()))

    def wrong_log_lines(self):
        """The first line of our log that is not in the originals' format; and whether others may read what scripts say (W41)."""
        if not self.ours:
            return []
        wrong = [line for line in self.logged().splitlines() if not LOG_LINE.match(line)]
        mode = self.log.stat().st_mode & 0o777 if self.log.is_file() else 0
        return [f"log line {line!r}" for line in wrong[:1]] + [f"the log has mode {mode:o}"] * bool(mode & 0o027)

    def logged(self):
        """The log."""
        return self.log.read_bytes().decode(errors="replace") if self.log.is_file() else ""

    def words(self):
        """The log and all that went to the terminal."""
        output = self.folder / "output"
        return self.logged() + (output.read_bytes().decode(errors="replace") if output.exists() else "")

    def quiet(self):
        """Until no script of this host runs any more; what still does so after a while is ended."""
        try:
            wait_for(lambda: not list(self.processes()), QUIET)
        except LabError:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def processes(self):
        """Processes whose command lines name this host's directory."""
        mark = f"{self.folder}/".encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{pid}/cmdline").read_bytes():
                    yield int(pid)

    def end_state(self):
        """What the state file says; a dash if there is none."""
        return self.state.read_text(errors="replace") if self.state.is_file() else "-"


class ModernPeer(Peer, updaters.Modern):
    """1.0.5."""

    kind, host, default_path = MODERN, "modern1.lock.example", "/etc/dlm_engine_updater/.env"

    @property
    def config(self):
        return self.folder / "env"

    def quick(self):
        quick = {"main_wait": None, "main_acquirebackoffbase": 0.2, "main_acquirebackoffmax": 0.3, "main_releaseattempts": 3,
                 "main_releasebackoffbase": 0.1, "main_releasebackoffmax": 0.2}
        return quick | ({"main_api_secret": self.case.secret} if self.case.secret else {})

    def wanted(self):
        return self.case.dotenv


class OldPeer(Peer, updaters.Old):
    """0.4.3 with API v1."""

    kind, host, default_path = OLD, "old1.lock.example", "/etc/dlm_engine_updater/config.ini"

    @property
    def config(self):
        return self.folder / "config.ini"

    @property
    def state(self):
        return Path((self.case.ini.get("state") or "{here}/state").format(here=self.folder))

    def quick(self):
        quick = {"wait": None, "wait_max": None, "reboot_cmd": str(self.scripts / "reboot.d/10")}
        return quick | ({"secret": self.case.secret} if self.case.secret else {})

    def wanted(self):
        return self.case.ini


class OldV2Peer(OldPeer, updaters.OldV2):
    """0.4.3 with API v2."""

    kind, host = OLD_V2, "oldv21.lock.example"


class ForemanPeer(OldPeer, updaters.Foreman):
    """Foreman's, 0.0.2."""

    kind, host, default_path = FOREMAN, "foreman1.lock.example", "/etc/foreman_dlm_updater/config.ini"
    old_name = "foreman_dlm_updater"

    def quick(self):
        quick = {"wait": None, "wait_max": None, "reboot_cmd": str(self.scripts / "reboot.d/10"), "ext_notify.d": None, "on_failure.d": None}
        if self.case.secret:
            certificate, key = self.service.authority.issue("stranger.lock.example")
            quick |= {"client_crt": certificate, "client_key": key}
        return quick

    def wanted(self):
        names = {"log_level": "loglevel", "log_retention": "logretention", "endpoint": "foreman_url"}
        return {names.get(key, key): value for key, value in self.case.ini.items()
                if key not in ("wait", "wait_max", "secret", "secret_id", "ext_notify.d", "on_failure.d")}


KINDS = {kind.kind: kind for kind in (ModernPeer, OldPeer, OldV2Peer, ForemanPeer)}


def dangerous():
    """Where programs that end a machine are on this one. A mount takes the file that a link stands for."""
    paths = (os.path.join(folder, name) for folder in ("/usr/sbin", "/usr/bin") for name in DANGEROUS)
    return sorted({os.path.realpath(path) for path in paths if os.path.isfile(path)})
