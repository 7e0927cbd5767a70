"""What both kinds of init have in common: how a host's state is seen from outside.

It is read from files and never asked of a program sent into the guest: systemd waits ten seconds at its shutdown for
such a program if it is just ending, for nobody tells it of the end.
"""

import struct
from pathlib import Path

from . import power

RECORD = struct.Struct("hi376x")  # utmp(5): type, PID, and what is of no interest here
RUN_LEVEL = 1
CONSOLE_PROGRAM = b"/bin/sleep\0infinity"  # the roots have it in the place of single-user mode's login


class Init:
    """A host's init; the two kinds add how they are started, the name of a level, and how a service is kept."""

    def __init__(self, host):
        self.host = host

    def run_level(self):
        """What runlevel(8) would print, recorded at the end of a boot by either kind; else nothing."""
        try:
            records = self.host.path("/run/utmp").read_bytes()
        except OSError:  # too early in the boot, or just gone down
            return ""
        for start in range(0, len(records) - RECORD.size + 1, RECORD.size):
            kind, pid = RECORD.unpack_from(records, start)
            if kind == RUN_LEVEL:
                return chr(pid % 256)
        return ""

    def is_single_user(self):
        """The console waits for the administrator, which leaves no record."""
        return self.runs(CONSOLE_PROGRAM)

    def runs(self, words):
        """A program with these words on its command line runs below init."""
        init = self.host.init_pid
        for pid in power.descendants(init) if init else ():
            try:
                if words in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return True
            except OSError:
                continue
        return False
