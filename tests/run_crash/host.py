"""A host: a scratch directory, and processes in namespaces and a control group of their own that all end when it goes down.

It sees an /etc, a /run, a /var/lib and a boot identity of its own. What its scripts do is written into one file, each line by one write: begun and
ended, with script, process, moment and boot. Its reboot script only says that the host is to be rebooted; `boot` does it.
"""

import base64
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
import uuid
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tests import site
from tests.crash import trace
from tests.crash.order import Ground
from tests.hosts.error import LabError
from tests.hosts.wait import wait_for
from tests.lock_proof.daemon import SECRET

from . import judge
from .relay import Asked

DEADLINE = 60
ETC = ("passwd", "group", "nsswitch.conf", "localtime", "ld.so.cache")
# Waits for whatever is left without a parent, as init does.
INIT = """
[ -z "$3" ] || echo 0 >"$3/cgroup.procs"
mount -t proc proc /proc && mount --bind "$1/etc" /etc && mount --bind "$1/run" /run && mount --bind "$1/var" /var/lib &&
mount --bind "$1/boot_id" /proc/sys/kernel/random/boot_id && hostname "$2" && echo up
trap : TERM INT
while :; do sleep 1000 & wait; done
"""
ENTER = '[ -z "$1" ] || echo 0 >"$1/cgroup.procs"; shift; exec "$@"'
# A script waits while there is a place to wait at under its name.
SCRIPT = """#!/bin/sh
IFS= read -r boot </proc/sys/kernel/random/boot_id
echo "begin $0 $$ $(date +%s%N) $boot $*" >>{here}/witness
while [ -e {here}/wait/{flat} ]; do sleep 0.02; done
{does}
echo "end $0 $$ $(date +%s%N) $boot $code" >>{here}/witness
exit $code
"""
# What each script does; `code` is its answer. The host is patched when the last one of update.d is done.
SCRIPTS = {
    "needs_update.d/10-ask": "code=1; [ ! -e {here}/patched ] || code=0",
    "pre_update.d/10-drain": "code=0",
    "pre_update.d/20-stop": "sleep 0.03; code=0",
    "update.d/10-packages": "sleep 0.06; code=0; [ ! -e {here}/fails ] || code=3",
    "update.d/20-done": "touch {here}/patched; code=0",
    "needs_reboot.d/10-kernel": "code=0; [ ! -e {here}/kernel ] || code=1",
    "reboot.d/10-now": "code=0; [ ! -e {here}/stays ] || code=4; [ $code = 4 ] || touch {here}/down",
    "post_update.d/10-start": "code=0",
    "post_update.d/20-check": "sleep 0.03; code=0",
    "on_failure.d/10-alarm": "code=0",
}
TOLD = {"ext_notify.d/10-tell": "code=0"}
# The reboot by a command, and the lock by our own protocol.
OURS = """\
[lock]
backend = lockd
url = {url}
owner = {name}
names = {lock}
secret_id = all
secret_file = /etc/patch/secret
[run]
dir = {here}/lib
state = {here}/lib/state
log = {here}/log/run.log
log_level = debug
wait = {wait}
release_attempts = 2
reboot = {here}/lib/reboot.d/10-now
"""
# The updater's own file; the reboot by scripts, the lock by its protocol, and somebody who is told of each step.
THEIRS = """\
main_api_endpoint={url}/api/v2/
main_api_secretid=all
main_api_secret={secret}
main_api_lockname={lock}
main_log_file={here}/log/run.log
main_basedir={here}/lib
main_wait={wait}
main_releaseattempts=2
main_releasebackoffbase=0.1
main_releasebackoffmax=0.1
"""
DIALECTS = ("ours", "theirs")
# Besides what changes something: the way to the service, and waiting for a script that is at work.
TRACED = f"{trace.TRACED},connect,poll,ppoll"


@dataclass(frozen=True)
class Line:
    """A line of a script's."""

    word: str
    script: str
    pid: int
    at: int
    boot: str
    rest: str

    @property
    def phase(self):
        """The directory that it is in."""
        return self.script.partition(".d/")[0]


class Host:
    """A context; up from the start."""

    def __init__(self, folder, name, dialect, relay):
        self.folder, self.name, self.dialect, self.relay = Path(folder), name, dialect, relay
        self.lock = name.partition(".")[0]
        self.codes, self.errors, self.boots, self.cuts, self.init = [], "", [], [], None
        self.other = None
        self.fence = fence(self.folder)
        for place in ("etc/patch", "lib", "log", "run", "var", "wait"):
            (self.folder / place).mkdir(parents=True)
        for file in filter(os.path.exists, (f"/etc/{file}" for file in ETC)):
            shutil.copy(file, self.folder / "etc")
        self.write("etc/machine-id", uuid.uuid4().hex + "\n")
        self.write("etc/hosts", f"127.0.0.1 localhost\n127.9.0.1 {name} {self.lock}\n")
        self.write("etc/patch/secret", SECRET + "\n", 0o600)
        self.write("log/run.log", "")
        self.write("boot_id", "")
        for script, does in (SCRIPTS if dialect == "ours" else SCRIPTS | TOLD).items():
            self.script(script, does)
        self.configure()
        self.boot()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.power_cut()
        if self.fence:
            for path in [*self.fence.glob("patch-run.*"), self.fence]:
                path.rmdir()

    def write(self, path, text, mode=0o644):
        """A file of this host."""
        path = self.folder / path
        path.write_text(text)
        path.chmod(mode)
        return path

    def script(self, name, does):
        """A script of this host."""
        (self.folder / "lib" / name).parent.mkdir(exist_ok=True)
        self.write(f"lib/{name}", SCRIPT.format(here=self.folder, flat=flat(name), does=does.format(here=self.folder)), 0o755)

    def configure(self, wait="no", more=""):
        """Its configuration; `more` is for the last section."""
        text = OURS if self.dialect == "ours" else THEIRS
        text = text.format(url=self.relay.url, name=self.name, lock=self.lock, here=self.folder, secret=SECRET, wait=wait)
        self.write("etc/patch/config.ini", text + more, 0o600)

    @property
    def local_lock(self):
        """What keeps a second driver out, in the host's folder."""
        return "run/patch/run" if self.dialect == "ours" else "lib/lock"

    def boot(self):
        """Everybody ends; then another boot."""
        self.power_cut()
        self.boots.append(uuid.uuid4().hex)
        (self.folder / "boot_id").write_text(self.boots[-1] + "\n")
        (self.folder / "down").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "run")
        (self.folder / "run").mkdir()
        self.init = subprocess.Popen(["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child", "sh", "-c", INIT, "init",
                                      self.folder, self.name, self.fence or ""], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL, text=True)
        if self.init.stdout.readline() != "up\n":
            raise LabError("cannot make namespaces; these tests need root")

    def power_cut(self):
        """Nobody lives on."""
        if self.init:
            os.kill(self.init_pid, signal.SIGKILL)
            self.init.wait()
            self.init.stdout.close()
            self.init = None
            self.cuts.append(time.time_ns())

    @property
    def init_pid(self):
        """Process 1 of this host, by the number that the machine has for it."""
        pid = self.init.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def start(self, *argv, around=()):
        """Start patch-run on this host."""
        enter = ["nsenter", "-t", str(self.init_pid), "-m", "-p", "-u", "--", "sh", "-c", ENTER, "sh", self.fence or ""]
        tool = [site.tools() / "usr/sbin/patch-run", "--config", "/etc/patch/config.ini"]
        if self.dialect == "ours":
            tool = tool[:1]
        return subprocess.Popen([*enter, *around, *tool, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, errors="replace", cwd="/", env={"PATH": os.environ["PATH"]})

    def run(self, *argv, around=()):
        """A whole start; its exit code."""
        return self.finish(self.start(*argv, around=around))

    def finish(self, process):
        """Wait for the end of a start; its exit code."""
        try:
            self.errors = process.communicate(timeout=DEADLINE)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise LabError(f"patch-run does not end: {self.log()[-2000:]}") from None
        self.codes.append(process.returncode)
        return process.returncode

    def traced(self, *argv, more=(), tree=False, follow=True):
        """A whole start under strace; what that says."""
        self.trace.unlink(missing_ok=True)
        output = str(self.trace)
        if tree:
            output = f"|{self.write('reap', trace.reaper(self.trace), 0o755)}"
        self.run(*argv, around=["strace", *trace.options(output, *more, follow=follow, traced=TRACED)])
        # The reader of a pipe may end after who writes into it.
        wait_for(lambda: self.trace.exists() and re.search(r"\+\+\+ (killed|exited)", self.trace.read_text(errors="replace")), 5)
        return self.trace.read_text(errors="replace")

    @property
    def trace(self):
        """Where strace writes."""
        return self.folder / "trace"

    def driver(self):
        """The machine's number for the patch-run that is at work."""
        inside = os.stat(f"/proc/{self.init_pid}/ns/pid").st_ino
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if Path(f"/proc/{pid}/comm").read_text() == "patch-run\n" and os.stat(f"/proc/{pid}/ns/pid").st_ino == inside:
                    return int(pid)
            except OSError:
                continue
        return None

    def hold(self, script):
        """The script will wait when it has begun, until it is let go."""
        self.write(f"wait/{flat(script)}", "")

    def let_go(self, script):
        """See above."""
        (self.folder / "wait" / flat(script)).unlink()

    def is_at(self, script):
        """The script has begun and not ended."""
        last = [line for line in self.lines() if line.script == script]
        return bool(last) and last[-1].word == "begin"

    def state(self):
        """What the state file says, byte by byte; nothing if it is not there."""
        path = self.folder / "lib/state"
        return path.read_text(errors="replace") if path.exists() else None

    def record(self):
        """The record of the run."""
        path = self.folder / "lib/state.run"
        return path.read_text(errors="replace") if path.exists() else ""

    def age(self, seconds):
        """The record is so much older: each line with its sum put right."""
        lines = [judge.SUM.sub("", line) for line in self.record().splitlines() if judge.is_sound(line)]
        aged = [re.sub(r"time=(\S+)", lambda found: f"time={earlier(found[1], seconds)}", line) for line in lines]
        self.write("lib/state.run", "".join(f"{line} sum={zlib.crc32(line.encode()):08x}\n" for line in aged))

    def log(self):
        """The log."""
        return (self.folder / "log/run.log").read_text(errors="replace")

    def lines(self):
        """What its scripts have written."""
        path = self.folder / "witness"
        text = path.read_text() if path.exists() else ""
        return [self.line(line) for line in text.splitlines()]

    def line(self, text):
        """One line."""
        word, script, pid, at, boot, *rest = text.split(" ", 5)
        return Line(word, script.removeprefix(f"{self.folder}/lib/"), int(pid), int(at), boot, " ".join(rest))

    def force(self):
        """An administrator takes the lock away."""
        sent = time.time_ns()
        body = {"lock": self.lock, "owner": self.name, "by": "all", "reason": "a test"}
        answer = self.service("POST", "/lock/1/force-release", body)
        self.relay.asked.append(Asked(sent, time.time_ns(), "POST", "/lock/1/force-release", 200, json.dumps(answer).encode()))

    def occupy(self):
        """Another host takes the lock."""
        ask = {"owner": "other.crash.example", "host_id": "other", "boot": "b", "locks": [self.lock]}
        self.other = self.service("POST", "/lock/1/acquire", ask)["grants"][0]["number"]

    def vacate(self):
        """The other host, if there is one, gives it back."""
        if self.other:
            self.service("POST", "/lock/1/release", {"owner": "other.crash.example", "lock": self.lock, "number": self.other})
            self.other = None

    def history(self):
        """What happened to the lock of this host's, the oldest first, and who holds it."""
        events = self.service("GET", f"/lock/1/history?lock={self.lock}&limit=1000")["events"]
        holders = self.service("GET", f"/lock/1/locks/{self.lock}").get("holders", []) if events else []
        return ([event["event"] for event in reversed(events) if event["owner"] == self.name], [holder["owner"] for holder in holders])

    def service(self, method, path, body=None):
        """Ask the service itself."""
        head = {"Authorization": "Basic " + base64.b64encode(f"all:{SECRET}".encode()).decode()}
        connection = http.client.HTTPConnection(self.relay.service, timeout=20)
        connection.request(method, path, None if body is None else json.dumps(body), head)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != 200:
            raise LabError(f"{method} {path}: {answer.status} {text}")
        return json.loads(text)

    def leftovers(self):
        """What lies in its directories that a run at rest does not leave there."""
        known = {"lib/state.run", "log/run.log", "run/patch/grants", "run/patch/hold", self.local_lock}
        found = {f"{place}/{name}" for place in ("lib", "log", "run/patch") if (self.folder / place).exists()
                 for name in os.listdir(self.folder / place)}
        return sorted(found - known - {f"lib/{script.partition('/')[0]}" for script in SCRIPTS | TOLD})

    def ground(self):
        """Where it has what, for the order of flushes: the log may lose its end, and who is at work is nobody after a power cut."""
        here = re.escape(str(self.folder))
        return Ground(re.compile(f"^{here}/lib/state\\.run$"),
                      re.compile(f"^({here}/(log/|witness|lib/\\.?lock(\\.worker)?(\\.draft)?$)|/run(/|$))"))


def flat(script):
    """The name of a script as that of one file."""
    return script.replace("/", "-")


def earlier(stamp, seconds):
    """A time of the record, so many seconds before."""
    form = "%Y-%m-%dT%H:%M:%SZ"
    return (datetime.strptime(stamp, form) - timedelta(seconds=seconds)).strftime(form)


def fence(folder):
    """A control group for a host, where there is a hierarchy of version 2."""
    mounts = (line.split(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines())
    place = next((left.split()[4] for left, right in mounts if right.startswith("cgroup2 ")), None)
    own = re.search(r"^0::/(.*)$", Path("/proc/self/cgroup").read_text(), re.M)
    if not place or not own:
        return None
    made = Path(place) / own[1] / f"run-crash-{os.getpid()}-{folder.name}"
    made.mkdir()
    return made
