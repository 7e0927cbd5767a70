"""What the benchmarks share: a program timed, programs that take turns, their memory, the figures against their goals."""

import json
import os
import random
import statistics
import subprocess
import sys
import time


def seconds(argv):
    """Start a program, wait for its end; it must succeed."""
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    began = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, file_actions=null)
    _, status = os.waitpid(pid, 0)
    took = time.perf_counter() - began
    if status:
        sys.exit(f"cannot measure {' '.join(argv)}: it ended with {os.waitstatus_to_exitcode(status)}")
    return took


def medians(commands, runs):
    """Median seconds of each command, all taking turns in a new order each round; the first round warms up."""
    times = {name: [] for name in commands}
    turns = list(commands.items())
    for _ in range(runs + 1):
        random.shuffle(turns)
        for name, argv in turns:
            times[name].append(seconds(argv))
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def peak_mib(argv):
    """The peak resident memory of a program. A small program starts it, for exec hands the peak of its starter on."""
    done = subprocess.run(["/usr/bin/time", "--format=%M", *argv], capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1]) / 1024


def print_goals(figures, goals):
    """The table of figures on the terminal; a goal is a sign and a number."""
    print(f"{'figure':38}{'measured':>14}{'goal':>10}")
    for name, value in figures.items():
        sign, goal = goals[name]
        met = {"<": value < goal, "<=": value <= goal, ">=": value >= goal}[sign]
        print(f"  {name:36}{value:14}{f'{sign} {goal}':>10}{'' if met else '   NOT MET'}")


def merge(path, figures):
    """Add the figures to those of other benchmarks in the same file."""
    known = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({**known, **figures}, indent=2, sort_keys=True) + "\n")
    draft.replace(path)
