"""Hosts with a client of each kind: configured as its documents say, with script directories that leave traces."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import site
from tests.hosts.error import LabError

from .service import secret_of

PHASES = ("needs_update", "pre_update", "update", "needs_reboot", "post_update")
# A host name and files of its own in place of the machine's, then the client. What it leaves running ends with it.
AS_HOST = 'hostname "$1" && mount --fstab "$2" --all && shift 2 && exec "$@"'
DEADLINE = 45


def environment(name):
    """The virtual environment of a client: a program that was not installed is a failure, not a reason to skip it."""
    folder = os.environ.get("PATCHFLAG_LOCK_CLIENTS")
    if not folder:
        raise LabError("PATCHFLAG_LOCK_CLIENTS names no folder of virtual environments; run make lock-clients")
    path = Path(folder) / name
    if not (path / "bin/python3").exists():
        raise LabError(f"{path} is no virtual environment; run make lock-clients")
    return path


class Host:
    """A host of a client. `witness` is told of everybody who enters and leaves the update, of all hosts in one file."""

    def __init__(self, folder, service, name, lock, witness, hold=0.2):
        self.name, self.lock, self.service, self.witness = name, lock, service, witness
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.trace = self.folder / "trace"
        self.log = self.folder / "log"
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n127.99.0.1 {name} {name.split('.')[0]}\n")
        for phase in (*PHASES, "ext_notify", "on_failure", "reboot"):
            (self.scripts / f"{phase}.d").mkdir(parents=True)
        self.fill(hold)
        self.configure()

    def fill(self, hold):
        """Scripts for a whole run without a reboot."""
        self.script("needs_update", "exit 1")
        self.script("pre_update", f"echo 'enter {self.name}' >>{self.witness}")
        self.script("update", f"/bin/sleep {hold}")
        self.script("needs_reboot", "exit 0")
        self.script("post_update", f"echo 'leave {self.name}' >>{self.witness}")

    @property
    def scripts(self):
        """Where the script directories are."""
        return self.folder / "etc"

    def script(self, phase, what):
        """The script of a phase: a trace, then this."""
        path = self.scripts / f"{phase}.d/10-test"
        path.write_text(f"#!/bin/sh\necho {phase} >>{self.trace}\n{what}\n")
        path.chmod(0o755)

    def write(self, name, text):
        """A file that only root may read."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return path

    def mounts(self):
        """(file of the host, place of the machine that it takes for this client)."""
        return [(self.folder / "hosts", "/etc/hosts")]

    def shims(self, hurry):
        """What is loaded into the client."""
        return [Path(__file__).parent / "hurry.py"] if hurry else []

    def variables(self, shims):
        """The environment that the client is started in."""
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        if shims:
            self.write("shims/sitecustomize.py", "".join(shim.read_text() for shim in shims))
            variables["PYTHONPATH"] = str(self.folder / "shims")
        return variables

    def start(self, *more, hurry=False, name=None):
        """Start the client as this host, or as one of another name; with `hurry` it sleeps shorter."""
        variables = self.variables(self.shims(hurry))
        mounts = self.write("fstab", "".join(f"{file} {place} none bind 0 0\n" for file, place in self.mounts()))
        argv = ["unshare", "--uts", "--mount", "sh", "-c", AS_HOST, "sh", name or self.name, str(mounts),
                *map(str, self.command()), *more]
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(argv, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                    start_new_session=True)

    def run(self, *more, **options):
        """A whole run of the client; its exit code."""
        process = self.start(*more, **options)
        try:
            return process.wait(DEADLINE)
        finally:
            end(process)

    def traced(self):
        """The phases that were run."""
        return tuple(self.trace.read_text().split()) if self.trace.exists() else ()

    def said(self):
        """All that the client said."""
        return "".join(path.read_text() for path in (self.log, self.folder / "output") if path.exists())


class Modern(Host):
    """dlmengineupdater 1.0.5: API v2, dotenv."""

    client, protocol = "dlmengineupdater 1.0.5", "dlm"
    wait = True

    def settings(self):
        """Its configuration, key by key."""
        return {"main_api_lockname": self.lock, "main_api_endpoint": f"{self.service.url}/api/v2/",
                "main_api_secretid": self.name, "main_api_secret": secret_of(self.name),
                "main_api_ca": self.service.authority.certificate, "main_log_file": self.log,
                "main_basedir": self.scripts, "main_wait": str(self.wait).lower(),
                "main_acquirebackoffbase": 0.4, "main_acquirebackoffmax": 1.5, "main_releaseattempts": 3}

    def configure(self):
        self.write("env", "".join(f"{key}={value}\n" for key, value in self.settings().items()))

    def command(self):
        return environment("dlm-1.0") / "bin/dlm_engine_updater", "--cfg", self.folder / "env"

    @property
    def state(self):
        return self.scripts / "state"


class Old(Host):
    """dlmengineupdater 0.4.3: config.ini; the end of the address says which API."""

    client, protocol = "dlmengineupdater 0.4.3", "dlm"
    api = "v1"

    def settings(self):
        """Its configuration, key by key."""
        return {"log": self.log, "log_level": "DEBUG", "log_retention": 7, "lock": self.folder / "pid",
                "state": self.state, "lock_name": self.lock, "ca": self.service.authority.certificate,
                "wait": "true", "wait_max": 36000, **self.credential(),
                "reboot_cmd": self.scripts / "reboot.d/10-test",
                **{f"{phase}.d": self.scripts / f"{phase}.d" for phase in (*PHASES, "ext_notify", "on_failure")}}

    def configure(self):
        self.write("config.ini", "[main]\n" + "".join(f"{key} = {value}\n" for key, value in self.settings().items()))

    def credential(self):
        return {"endpoint": f"{self.service.url}/api/{self.api}/", "secret_id": self.name, "secret": secret_of(self.name)}

    def command(self):
        return environment("dlm-0.4") / "bin/dlm_engine_updater", "--cfg", self.folder / "config.ini"

    @property
    def state(self):
        return self.folder / "state"


class OldV2(Old):
    """The same, with the newer API."""

    api = "v2"


class Foreman(Old):
    """foreman-dlm-updater 0.0.2: a client certificate is its name."""

    client, protocol = "foreman-dlm-updater 0.0.2", "foreman"

    def settings(self):
        return {key.replace("log_", "log"): value for key, value in super().settings().items()}

    def credential(self):
        certificate, key = self.service.authority.issue(self.name)
        return {"foreman_url": self.service.url, "client_crt": certificate, "client_key": key}

    def command(self):
        return environment("foreman") / "bin/foreman_dlm_updater", "--cfg", self.folder / "config.ini"


class PatchLock(Host):
    """patch-lock hold, by our own protocol or as a client of another one."""

    client, protocol, backend = "patch-lock", None, "lockd"

    def configure(self):
        root = self.folder / "root"
        certificate, key = self.service.authority.issue(self.name)
        for path in (certificate, key, self.service.authority.certificate):
            copy = self.write(f"root/etc/{path.name}", path.read_text())
            copy.chmod(0o600)
        self.write("root/etc/machine-id", os.urandom(16).hex() + "\n")
        for path in ("sys/kernel/random/boot_id", "1/stat"):
            self.write(f"root/proc/{path}", Path("/proc", path).read_text())
        self.write("root/etc/lock.secret", secret_of(self.name) + "\n")
        lines = ["[lock]", f"backend = {self.backend}", f"url = {self.service.url}", f"owner = {self.name}",
                 "backoff_base = 1s", "backoff_max = 1s", "ca_file = /etc/ca.pem"]
        if self.backend in ("lockd", "dlm"):
            lines += [f"secret_id = {self.name}", "secret_file = /etc/lock.secret"]
        else:
            lines += [f"certificate = /etc/{certificate.name}", f"key = /etc/{key.name}"]
        self.write("root/etc/patch/config.ini", "\n".join(lines) + "\n")
        whole = self.write("whole", "#!/bin/sh\n" + "".join(f"{self.scripts}/{phase}.d/10-test\n" for phase in PHASES))
        whole.chmod(0o755)
        self.root = root

    def command(self):
        tool = site.tools() / "usr/sbin/patch-lock"
        return tool, "--root", self.root, "hold", "--wait", self.lock, "--", self.folder / "whole"


class PatchLockDlm(PatchLock):
    """As a client of dlmengine's."""

    protocol, backend = "dlm", "dlm"


class PatchLockForeman(PatchLock):
    """As a client of Foreman's."""

    protocol, backend = "foreman", "foreman"


class PatchLockFleet(PatchLock):
    """As a client of FleetLock."""

    protocol, backend = "fleetlock", "fleetlock"


def end(process):
    """End a client that still runs, and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
        process.wait()


def end_all(processes):
    """End clients that a case has left running."""
    for process in processes:
        end(process)


def scratch():
    """A folder for one run, gone afterwards; a client's files have to be root's, and so have their folders."""
    return tempfile.TemporaryDirectory(prefix="lock-clients-")


def say(text):
    """A line, at once."""
    print(text, file=sys.stderr, flush=True)
