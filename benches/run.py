#!/usr/bin/env python3
"""What patch-run costs, against the updaters that it takes the place of: with their own configurations, scripts and lock service.

- run_noop_vs_python: a start whose needs_update script says no, whole process, against the fastest of dlmengineupdater 1.0.5 and 0.4.3
  and foreman-dlm-updater 0.0.2; medians.
- run_full_vs_python: a whole run, one script in each phase, no reboot, the lock from a patch-lockd on loopback over TLS as their
  documents have it.
- run_peak_mib: the largest resident memory of a whole run, whichever configuration it has.
- hook_output_mib_s: 30 MiB that a script says, lines of 72 bytes, in the log when the run is over; the whole run counts.

Each pair takes turns over one configuration file, on a disk: ours flushes what it records, theirs flush nothing. The benchmark has a
host name, an /etc/hosts, an empty /run and an empty /var/lib of its own, the latter on the same disk: nobody waits for a name server, and
nothing is left behind.

Writes flat key: value pairs into a JSON file and a table to the terminal.

Usage: run.py --tools DIR --clients DIR --cache DIR --json FILE
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from measure import merge, peak_mib, print_goals, seconds  # noqa: E402
from tests.hosts.ca import Authority  # noqa: E402
from tests.lockd_clients.service import Service, secret_of  # noqa: E402

GOALS = {"run_noop_vs_python": ("<=", 0.1), "run_full_vs_python": ("<=", 0.2), "run_peak_mib": ("<", 8), "hook_output_mib_s": (">=", 60)}
NAME = "bench.lock.example"
PHASES = ("needs_update", "pre_update", "update", "needs_reboot", "post_update")
ROUNDS = 15
MIB = 1 << 20
OUTPUT = 30 * MIB
# A host of our own, then this program again.
AS_HOST = """hostname "$1" && mount --bind "$2" /etc/hosts && mount --bind "$3" /var/lib && mount -t tmpfs -o mode=0755 bench /run &&
  shift 3 && exec "$@\""""


class Updater:
    """An original, its configuration and scripts; ours with the same ones."""

    program = key = None

    def __init__(self, args, folder, service):
        self.folder = folder / self.key
        self.service = service
        self.theirs = args.clients.resolve() / self.key / "bin" / self.program
        self.ours = self.folder / self.program
        for phase in PHASES + ("reboot", "ext_notify", "on_failure"):
            (self.folder / f"{phase}.d").mkdir(parents=True)
        # Under its old name, as sites have it.
        self.ours.symlink_to(args.tools.resolve() / "patch-run")
        for phase in PHASES:
            self.script(phase, "exit 0")
        self.config = self.folder / "config"
        self.config.write_text(self.text())
        self.config.chmod(0o600)

    def script(self, phase, does):
        """The script of a phase."""
        path = self.folder / f"{phase}.d/10-bench"
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)

    def needs_update(self, answer):
        """What needs_update says."""
        self.script("needs_update", f"exit {int(answer)}")

    def command(self, program):
        """A start of it."""
        return [str(program), "--cfg", str(self.config)]

    def secret(self):
        """(name, value) of the keys that say who asks whom."""
        return [("endpoint", f"{self.service.url}/api/v2/"), ("secret_id", NAME), ("secret", secret_of(NAME))]

    def text(self):
        """Its configuration."""
        here = self.folder
        keys = [("log", here / "log"), ("log_level", "DEBUG"), ("log_retention", 7), ("lock", here / "pid"), ("state", here / "state"),
                ("lock_name", self.key), ("ca", self.service.authority.certificate), ("reboot_cmd", "/bin/false"), *self.secret(),
                *((f"{phase}.d", here / f"{phase}.d") for phase in PHASES + ("ext_notify", "on_failure"))]
        return "[main]\n" + "".join(f"{key} = {value}\n" for key, value in keys)


class Modern(Updater):
    """1.0.5."""

    program, key = "dlm_engine_updater", "dlm-1.0"

    def text(self):
        keys = {"api_lockname": "modern", "api_endpoint": f"{self.service.url}/api/v2/", "api_secretid": NAME, "api_secret": secret_of(NAME),
                "api_ca": self.service.authority.certificate, "log_file": self.folder / "log", "basedir": self.folder}
        return "".join(f"main_{key}={value}\n" for key, value in keys.items())


class Old(Updater):
    """0.4.3."""

    program, key = "dlm_engine_updater", "dlm-0.4"


class Foreman(Updater):
    """0.0.2; who asks is a certificate."""

    program, key = "foreman_dlm_updater", "foreman"

    def secret(self):
        certificate, key = self.service.authority.issue(NAME)
        return [("foreman_url", self.service.url), ("client_crt", certificate), ("client_key", key)]

    def text(self):
        return super().text().replace("log_level", "loglevel").replace("log_retention", "logretention")


def measure(updaters, needs):
    """Median seconds of theirs and ours, all taking turns in a new order each round; the first round warms up."""
    turns = [(updater.key, whose) for updater in updaters for whose in ("theirs", "ours")]
    known = {updater.key: updater for updater in updaters}
    for updater in updaters:
        updater.needs_update(needs)
    times = {turn: [] for turn in turns}
    for _ in range(ROUNDS + 1):
        random.shuffle(turns)
        for key, whose in turns:
            updater = known[key]
            times[key, whose].append(seconds(updater.command(getattr(updater, whose))))
            if (updater.folder / "state").exists():
                sys.exit(f"cannot measure: {whose} of {key} leaves a run that is not over: {(updater.folder / 'log').read_text()[-500:]}")
    return {turn: statistics.median(values[1:]) for turn, values in times.items()}


def against_fastest(middle):
    """The ratio to the fastest of theirs, of ours with the same configuration; and which that is."""
    key = min((key for key, whose in middle if whose == "theirs"), key=lambda key: middle[key, "theirs"])
    return middle[key, "ours"] / middle[key, "theirs"], key


def peak(updaters):
    """MiB of ours in a whole run."""
    for updater in updaters:
        updater.needs_update(True)
    return max(peak_mib(updater.command(updater.ours)) for updater in updaters)


def output(updater):
    """MiB a second of what a script says, until the run is over."""
    line = "".join(chr(ord("a") + number % 26) for number in range(71)) + "\n"
    said = updater.folder / "said"
    said.write_text(line * (OUTPUT // len(line)))
    updater.needs_update(True)
    updater.script("update", f"exec cat {said}")
    times = []
    for _ in range(6):
        (updater.folder / "log").unlink(missing_ok=True)
        times.append(seconds(updater.command(updater.ours)))
        if (updater.folder / "log").stat().st_size < said.stat().st_size:
            sys.exit("cannot measure: not all of it is in the log")
    updater.script("update", "exit 0")
    return said.stat().st_size / MIB / statistics.median(times[1:])


def report(figures, shown):
    """The table on the terminal."""
    print(f"{'the eight phases, median ms':38}{'theirs':>12}{'ours':>12}{'ratio':>10}")
    for what, middle in shown.items():
        for key in sorted({key for key, _ in middle}):
            theirs, ours = middle[key, "theirs"], middle[key, "ours"]
            print(f"  {f'{what}, {key}':36}{theirs * 1000:12.2f}{ours * 1000:12.2f}{ours / theirs:10.3f}")
    print_goals(figures, GOALS)


def become_host(args):
    """Start again as a host of our own."""
    with tempfile.TemporaryDirectory(dir=args.cache) as folder:
        hosts, lib = Path(folder) / "hosts", Path(folder) / "lib"
        lib.mkdir()
        hosts.write_text(f"127.0.0.1 localhost\n127.99.0.1 {NAME} bench\n")
        words = ["unshare", "--uts", "--mount", "sh", "-c", AS_HOST, "sh", NAME, hosts, lib, sys.executable, *sys.argv, "--is-host"]
        sys.exit(subprocess.run(words).returncode)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tools", required=True, type=Path, help="directory of our static tools")
    parser.add_argument("--clients", required=True, type=Path, help="directory of the updaters' virtual environments")
    parser.add_argument("--cache", required=True, type=Path, help="directory for states and logs; on a disk")
    parser.add_argument("--json", required=True, help="file for the figures")
    parser.add_argument("--is-host", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    if not args.is_host:
        become_host(args)
    with tempfile.TemporaryDirectory(dir=args.cache) as folder:
        folder = Path(folder)
        place = folder / "service"
        place.mkdir()
        os.environ["PATCHFLAG_TEST_TOOLS"] = str(folder / "tree")
        (folder / "tree/usr").mkdir(parents=True)
        (folder / "tree/usr/sbin").symlink_to(args.tools.resolve())
        with Service(place, Authority(place / "tls"), [NAME]) as service:
            updaters = [kind(args, folder, service) for kind in (Modern, Old, Foreman)]
            shown = {"nothing to do": measure(updaters, False), "a whole run": measure(updaters, True)}
            ratios = [against_fastest(middle)[0] for middle in shown.values()]
            figures = {"run_noop_vs_python": round(ratios[0], 4), "run_full_vs_python": round(ratios[1], 4),
                       "run_peak_mib": round(peak(updaters), 2), "hook_output_mib_s": round(output(updaters[0]), 1)}
        shutil.rmtree(folder / "tree")
    report(figures, shown)
    merge(Path(args.json), figures)


if __name__ == "__main__":
    main()
