#!/usr/bin/env python3
"""What the lock service gives: how fast a lock goes to the next one, how many grants a second, what ten thousand waiters cost.

- handoff_p95_ms: from the sending of a release to the next waiter's answer that grants, its acceptance of the offer and both flushes
  included; 1,000 wait for one lock all the time, 1,000 hand-offs, with authentication.
- lock_vs_etcd: acquire and release a second, each answered only after its flush, by 64 clients with a lock each, against one node
  of etcd by its JSON gateway (a transaction that creates if absent, one that deletes if mine). The same load program in a process of
  its own, the same file system, taking turns; medians.
- lockd_rss_mib: resident memory with 10,000 waiters.
- lock_cli_vs_python: `patch-lock acquire` and `patch-lock release`, two starts, against one process that takes and gives back the same
  service's lock by the lock class of dlmengineupdater 0.4.3; medians.

Writes flat key: value pairs into a JSON file and a table to the terminal.

Usage: lock.py --tools DIR --load PROGRAM --cache DIR --json FILE [--venv DIR] [--only PART …]
"""

import argparse
import hashlib
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from measure import merge, print_goals, seconds  # noqa: E402
from tests import etcd  # noqa: E402

GOALS = {"handoff_p95_ms": ("<", 20), "lock_vs_etcd": (">=", 2), "lockd_rss_mib": ("<", 200), "lock_cli_vs_python": ("<=", 0.1)}
SECRET = "a-secret-that-only-this-benchmark-has"
ADDRESS = "127.0.0.1"
PORT, ETCD_PORT, ETCD_PEER_PORT = 17424, 17425, 17426
ROUNDS, SECONDS = 5, 5
# One process with the updater's own lock class. The name of this machine would have to be looked up; that time is spared to them.
PYTHON = """\
import logging, socket, sys
from dlm_engine_updater import DlmEngineLock
socket.getfqdn = lambda: "theirs.example.org"
endpoint, name, user, secret = sys.argv[1:]
lock = DlmEngineLock(log=logging.getLogger("bench"), ca=None, endpoint=endpoint, secret=secret, secret_id=user, lock_name=name,
                     wait=False, wait_max=0)
lock.acquire()
lock.release()
"""


class Lockd:
    """A patch-lockd with a store of its own."""

    def __init__(self, tools, folder):
        folder.mkdir()
        self.config = folder / "lockd.ini"
        self.config.write_text(
            f"[lockd]\nlisten = {ADDRESS}:{PORT}\nstore = {folder}/store/locks.db\n[client bench]\n"
            f"secret_sha256 = {hashlib.sha256(SECRET.encode()).hexdigest()}\nowners = *\nlocks = *\n")
        self.config.chmod(0o600)
        self.process = subprocess.Popen([f"{tools}/patch-lockd", "--config", self.config], stdout=subprocess.PIPE)
        if not self.process.stdout.readline().startswith(b"listening on"):
            sys.exit("cannot measure: patch-lockd does not start")
        self.address = f"{ADDRESS}:{PORT}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.process)

    def mib(self):
        """Its resident memory now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


class Etcd:
    """One node of etcd."""

    def __init__(self, cache, folder):
        client, peer = f"http://{ADDRESS}:{ETCD_PORT}", f"http://{ADDRESS}:{ETCD_PEER_PORT}"
        self.address = f"{ADDRESS}:{ETCD_PORT}"
        log = open(folder / "etcd.log", "wb")
        command = etcd.member(cache, "bench", folder / "etcd", client, {"bench": peer})
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(200):
            try:
                if b"true" in urllib.request.urlopen(f"{client}/health", timeout=2).read():
                    return
            except OSError:
                pass
            time.sleep(0.1)
        stop(self.process)
        sys.exit(f"cannot measure: etcd does not start: {(folder / 'etcd.log').read_text()[-500:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.process)


def stop(process):
    """End a process that we started."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def load(program, service, *words):
    """What the load program says."""
    command = [program, "--address", service.address, "--secret", SECRET, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"cannot measure: {done.stderr.strip()}")
    return json.loads(done.stdout)


def measure_handoff(args, folder):
    """1,000 hand-offs among 1,000 waiters."""
    with Lockd(args.tools, folder / "handoff") as lockd:
        said = load(args.load, lockd, "handoff")
    return {"handoff_p95_ms": round(said["p95_ms"], 2)}, {
        "hand-off p50 / p95 / max ms": f"{said['p50_ms']:.2f} / {said['p95_ms']:.2f} / {said['max_ms']:.2f}",
        "release to offer p95 ms": f"{said['offer_p95_ms']:.2f}"}


def measure_etcd(args, folder):
    """Alternating rounds; both services run all the time, only one of them is loaded."""
    rates = {"lockd": [], "etcd": []}
    with Lockd(args.tools, folder / "pairs") as lockd, Etcd(args.cache, folder) as node:
        for turn in range(ROUNDS):
            order = [("lockd", lockd), ("etcd", node)]
            for name, service in order if turn % 2 else order[::-1]:
                said = load(args.load, service, "pairs", "--peer", name, "--seconds", str(SECONDS))
                rates[name].append(said["per_second"])
    middle = {name: statistics.median(values) for name, values in rates.items()}
    return {"lock_vs_etcd": round(middle["lockd"] / middle["etcd"], 2)}, {
        "acquire + release a second": f"{middle['lockd']:.0f}", "the same, etcd": f"{middle['etcd']:.0f}"}


def measure_memory(args, folder):
    """10,000 open requests."""
    with Lockd(args.tools, folder / "waiters") as lockd:
        empty = lockd.mib()
        command = [args.load, "--address", lockd.address, "--secret", SECRET, "wait"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as waiters:
            if not waiters.stdout.readline().startswith(b"waiting"):
                sys.exit("cannot measure: 10,000 do not wait")
            full = lockd.mib()
            waiters.stdin.close()
    return {"lockd_rss_mib": round(full, 1)}, {"resident MiB without waiters": f"{empty:.1f}"}


def measure_cli(args, folder):
    """Two starts of ours, one of theirs."""
    with Lockd(args.tools, folder / "cli") as lockd:
        ours = our_commands(args, folder, lockd)
        theirs = their_command(args, folder, lockd)
        times = {"ours": [], "theirs": []}
        for _ in range(31):
            turns = [("ours", ours), ("theirs", [theirs])]
            random.shuffle(turns)
            for name, commands in turns:
                times[name].append(sum(seconds(command) for command in commands))
    middle = {name: statistics.median(values[1:]) for name, values in times.items()}
    return {"lock_cli_vs_python": round(middle["ours"] / middle["theirs"], 4)}, {
        "patch-lock acquire + release ms": f"{middle['ours'] * 1000:.2f}",
        "dlmengineupdater 0.4.3's lock ms": f"{middle['theirs'] * 1000:.2f}"}


def our_commands(args, folder, lockd):
    """acquire, release; below a root of their own."""
    root = folder / "root"
    (root / "etc/patch").mkdir(parents=True)
    (root / "etc/patch/secret").write_text(f"{SECRET}\n")
    (root / "etc/patch/secret").chmod(0o600)
    for name in ("sys/kernel/random/boot_id", "1/stat"):
        (root / "proc" / name).parent.mkdir(parents=True)
        (root / "proc" / name).write_bytes((Path("/proc") / name).read_bytes())
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (root / "etc/patch/config.ini").write_text(
        f"[lock]\nbackend = lockd\nurl = http://{lockd.address}\nowner = bench.example.org\nnames = cli\n"
        f"secret_id = bench\nsecret_file = /etc/patch/secret\n")
    tool = [f"{args.tools}/patch-lock", "--root", str(root)]
    return [[*tool, "acquire"], [*tool, "release"]]


def their_command(args, folder, lockd):
    """The lock class of the updater, taken out of its package as its `run` does."""
    program = folder / "theirs.py"
    program.write_text(PYTHON)
    return [f"{args.venv}/bin/python3", str(program), f"http://{lockd.address}/api/v2/", "theirs", "bench", SECRET]


def report(figures, more):
    """The table on the terminal."""
    print(f"{'the lock':38}{'measured':>24}")
    for name, value in more.items():
        print(f"  {name:36}{value:>24}")
    print_goals(figures, GOALS)


PARTS = {"handoff": measure_handoff, "etcd": measure_etcd, "memory": measure_memory, "cli": measure_cli}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tools", required=True, help="directory of our static tools")
    parser.add_argument("--load", required=True, help="the load program")
    parser.add_argument("--venv", help="virtual environment with dlmengineupdater 0.4.3; without it that part is left out")
    parser.add_argument("--cache", required=True, type=Path, help="directory for etcd and for the stores; on a disk")
    parser.add_argument("--json", required=True, help="file for the figures")
    parser.add_argument("--only", action="append", choices=PARTS)
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    args.cache.mkdir(parents=True, exist_ok=True)
    kind = subprocess.run(["stat", "-f", "-c", "%T", args.cache], capture_output=True, text=True, check=True).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        sys.exit(f"cannot measure what is flushed: {args.cache} is on {kind}; name a disk by PATCHFLAG_TEST_CACHE")
    figures, more = {}, {}
    for part in args.only or [part for part in PARTS if args.venv or part != "cli"]:
        with tempfile.TemporaryDirectory(dir=args.cache) as folder:
            found, shown = PARTS[part](args, Path(folder))
            figures, more = figures | found, more | shown
    report(figures, more)
    merge(Path(args.json), figures)


if __name__ == "__main__":
    main()
