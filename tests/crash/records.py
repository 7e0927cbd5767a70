"""The records of a journal, as the judges read them: patchlog(5)."""

import re
import zlib

SUM = re.compile(r" sum=([0-9a-f]{8})$")


def is_sound(line):
    """The record has the right sum."""
    found = SUM.search(line)
    return bool(found) and int(found[1], 16) == zlib.crc32(line[:found.start()].encode())


def sound(text):
    """The records whose sums are right."""
    return [line for line in text.split("\n") if is_sound(line)]


def states(text):
    """The states of a journal in their order."""
    return [match[1] for line in sound(text) for match in [re.search(r" state=(\w+)", line)] if match]


def run_of(text):
    """The name of a journal's run."""
    found = re.search(r" run=(\S+)", text)
    return found[1] if found else ""
