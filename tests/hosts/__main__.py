"""The laboratory from a terminal: build roots, try a host, look around in one, watch over the machine."""

import argparse
import subprocess
import sys
import time

from . import guard, roots
from .error import LabError
from .host import Host
from .lab import Lab
from .net import Net


def main():
    """Read the arguments, do the one thing asked for; 1 is a failure, 2 wrong usage."""
    options = arguments().parse_args()
    try:
        return options.act(options) or 0
    except LabError as error:
        print(f"hosts: {error}", file=sys.stderr)
        return 1


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.hosts", description="Real Debian hosts for tests, in containers.")
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    action = actions.add_parser("roots", help="build the base roots that the cache lacks")
    action.set_defaults(act=build_roots)

    action = actions.add_parser("newer", help="list the packages of a root that the archive has newer")
    action.add_argument("kind", choices=roots.KINDS)
    action.set_defaults(act=list_newer)

    action = actions.add_parser("try", help="boot a host, run, reboot, cut the power, power off; print the seconds")
    action.add_argument("kind", choices=roots.KINDS)
    action.set_defaults(act=try_host)

    action = actions.add_parser("shell", help="boot a host and open a shell in it; leaving the shell removes the host")
    action.add_argument("kind", choices=roots.KINDS)
    action.add_argument("--cmdline", default="", metavar="WORDS", help="added to the kernel command line")
    action.set_defaults(act=open_shell)

    action = actions.add_parser("guard", help="run a command; fail if it leaves anything on the machine")
    action.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    action.set_defaults(act=run_guarded)
    return parser


def build_roots(_):
    """Build what is missing, with a line for each root."""
    for kind in roots.KINDS:
        timed(f"root {kind}", lambda kind=kind: roots.ensure(kind, progress=print_now))


def list_newer(options):
    """Print the real upgrades of today, or the fallback."""
    newer = roots.newer_packages(options.kind)
    if not newer:
        print_now("nothing is newer today; an earlier version is still listed of:")
    for entry in newer or roots.earlier_packages(options.kind):
        print_now(f"{entry.package} {entry.installed} -> {entry.newer}")


def try_host(options):
    """Take a host through what tests do to it."""
    with Lab() as lab:
        host = timed("make", lambda: Host(options.kind, options.kind, Net(lab)))
        timed("boot", host.boot)
        print_now(f"at {host.level()}: {host.output(['uname', '-n']).strip()} runs")
        timed("run", lambda: host.output(["true"]))
        timed("reboot", host.reboot)
        timed("power cut", host.power_cut)
        timed("boot", host.boot)
        timed("power off", host.poweroff)
        print_now(f"{len(host.boots)} boots; {host.end.value}")


def open_shell(options):
    """Boot a host for somebody who wants to look."""
    with Lab() as lab, Host(options.kind, options.kind, Net(lab)) as host:
        host.boot(options.cmdline)
        return subprocess.run(host.enter("bash", "-l")).returncode


def run_guarded(options):
    """Run the command after `--`."""
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise LabError("cannot guard: no command given; write it after --")
    return guard.run(command)


def timed(what, act):
    """Do it, and print how long it took."""
    start = time.monotonic()
    result = act()
    print_now(f"{what}: {time.monotonic() - start:.2f} s")
    return result


def print_now(line):
    """Print a line that is seen at once, also through a pipe."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
