"""The journal as a test reads it, and as it writes one that a tool could have left: patchlog(5)."""

import re
import shlex
import zlib
from datetime import datetime, timezone


def states(text):
    """The states of a journal, in order."""
    return re.findall(r"(?:^| )state=(\w+)(?= |$)", text, re.MULTILINE)


def facts(text):
    """Every key of a journal with its last value."""
    found = {}
    for line in text.splitlines():
        words = (word.partition("=") for word in shlex.split(line))
        found.update({key: value for key, equals, value in words if equals})
    return found


def runs(text):
    """The runs that a journal tells of; a whole one tells of one."""
    return sorted(set(re.findall(r" run=(\S+)", text)))


def record(run, words, tool="patchit", when=None):
    """A record with its sum, as a tool of ours ends it."""
    when = when or datetime.now(timezone.utc)
    return signed(f"time={when:%Y-%m-%dT%H:%M:%SZ} tool={tool} pid=1 run={run} {words}")


def again(line, when):
    """A record of ours as it would be of another time."""
    _, _, words = line.rpartition(" sum=")[0].partition(" ")
    return signed(f"time={when:%Y-%m-%dT%H:%M:%SZ} {words}")


def signed(line):
    """The record of a line: with its sum."""
    return f"{line} sum={zlib.crc32(line.encode()):08x}\n"
