"""What makes a bad night, and what each of them says.

One is a run in the dialect of the host that it is given; it raises AssertionError with what should have been.
"""

from dataclasses import dataclass, replace
from typing import Callable

from .. import judge, point
from ..scenes import SCENES

NIGHTS = {}


@dataclass(frozen=True)
class Night:
    """What happens, and to which hosts."""

    run: Callable
    dialects: tuple


def night(*dialects):
    """Say of a function that it is one."""
    def add(run):
        NIGHTS[run.__name__] = Night(run, dialects or ("ours",))
        return run
    return add


def check(holds, words):
    """Raise unless it holds."""
    if not holds:
        raise AssertionError(words)


def refuses(host, code, *words, argv=(), runs=(), around=()):
    """A start ends with this code and says these words; of the scripts only these run."""
    before = len(host.lines())
    got = host.run(*argv, around=around)
    said = host.errors + host.log()[-3000:]
    ran = [line.script for line in host.lines()[before:] if line.word == "begin" and line.phase not in ("ext_notify", "on_failure")]
    check(got == code, f"code {got}, not {code}: {said[-700:]}")
    check(ran == list(runs), f"{ran} ran, and not {list(runs)}")
    for word in words:
        check(word in said, f"nobody says {word!r}: {said[-700:]}")


def goes_on(host, kernel=False, takes=1):
    """Ticks bring the run to its end, and all held that must."""
    scene = replace(SCENES["down" if kernel else "whole"], takes=takes)
    outcome = point.Outcome(scene, "fault", state=host.state(), boot=host.boots[-1])
    outcome.killed, outcome.record = len(host.lines()), host.record()
    point.recover(host, outcome)
    point.look(host, outcome)
    wrong = list(judge.judge(outcome))
    check(not wrong, "; ".join(wrong))
