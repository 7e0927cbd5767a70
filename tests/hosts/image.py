"""A virtual machine's disk: one ext4 file system in a file, and what a loss of power makes of it.

While the machine is on, every write and every flush that the guest sends to the disk is also noted, in order, by qemu's
`blklogwrites` filter (the format is that of the kernel's dm-log-writes). So there are two ways to lose power. `settle`
takes everything that was sent to the disk: what the guest had only in its page cache is lost. `lose` takes a disk with a volatile cache: what the
guest had flushed is there; of what it sent after that, each page is there or is not.
"""

import contextlib
import struct

from .error import LabError

SECTOR = 512
PAGE = 4096
SUPER = struct.Struct("<QQQL")
ENTRY = struct.Struct("<QQQQ")
MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD = 1, 2, 4
LOG_SIZE = "16g"  # sparse: what is not written costs nothing


class Image:
    """The disk of one machine; `home` is its folder in the laboratory's namespace, in memory."""

    def __init__(self, lab, home, base, size):
        self.lab, self.home = lab, home
        self.file, self.live, self.log = f"{home}/disk", f"{home}/disk.live", f"{home}/writes"
        self.root = f"{home}/root"
        self._mounted = False
        lab.run("mkdir", "-p", self.root)
        lab.run("mke2fs", "-q", "-t", "ext4", "-d", base, self.file, size)
        # One page behind the file system: `lose` marks its moment there.
        self.mark = lab.path(self.file).stat().st_size
        lab.run("truncate", f"--size=+{PAGE}", self.file)

    def mount(self):
        """Have the file system at `root`; the machine must be off. Replays the journal as a boot would."""
        if not self._mounted:
            self.lab.run("mount", "-o", "loop", self.file, self.root)
            self._mounted = True

    def unmount(self):
        """Give the file system back."""
        if self._mounted:
            self.lab.run("umount", self.root)
            self._mounted = False

    @contextlib.contextmanager
    def copy(self):
        """A copy of the disk as it lies there, to look at: nothing is mended on the disk itself."""
        self.unmount()
        copy = f"{self.home}/disk.copy"
        self.lab.run("cp", "--sparse=always", self.file, copy)
        try:
            yield copy
        finally:
            self.lab.run("rm", copy)

    def check(self):
        """e2fsck on a copy, the journal replayed first: its code (0 clean, 1 mended) and what it said."""
        with self.copy() as copy:
            done = self.lab.run("sh", "-c", 'e2fsck -fy "$1" 2>&1; echo "code=$?"', "sh", copy).stdout
        said, _, code = done.rpartition("code=")
        return int(code), said

    @contextlib.contextmanager
    def look(self):
        """What the next boot will find, as a path in the laboratory: a copy with its journal replayed."""
        with self.copy() as copy:
            self.lab.run("mount", "-o", "loop", copy, self.root)
            try:
                yield self.root
            finally:
                self.lab.run("umount", self.root)

    def begin(self):
        """The machine is about to be switched on: it works on a copy, and the log of its writes is empty."""
        self.unmount()
        self.lab.run("cp", "--sparse=always", self.file, self.live)
        self.lab.run("truncate", "--size=0", self.log)
        self.lab.run("truncate", f"--size={LOG_SIZE}", self.log)

    def settle(self):
        """The machine is off: all that it sent to the disk has arrived."""
        self.lab.run("sh", "-c", '[ ! -e "$1" ] || mv "$1" "$2"', "sh", self.live, self.file)

    def lose(self, choice):
        """The machine is off, and its disk lost what was not flushed at the mark; returns (pages kept, pages lost).

        `choice` is a random.Random. Now and then the disk keeps all of it, or nothing: both happen.
        """
        likely = choice.choice((0.0, 0.5, 0.5, 0.9, 1.0))
        kept = lost = 0
        with open(self.lab.path(self.log), "rb") as log, open(self.lab.path(self.file), "r+b") as disk:
            writes = list(self._writes(log))
            flushed = max((number for number, (_, _, _, flags) in enumerate(writes) if flags & FLUSH), default=-1)
            for number, (where, start, size, flags) in enumerate(writes):
                for offset in range(0, size, PAGE):
                    if number > flushed and not flags & FUA:
                        if choice.random() >= likely:
                            lost += 1
                            continue
                        kept += 1
                    log.seek(start + offset)
                    disk.seek(where + offset)
                    disk.write(log.read(min(PAGE, size - offset)))
        self.lab.run("rm", self.live)
        return kept, lost

    def _writes(self, log):
        """(place on the disk, place in the log, size, flags) of each entry up to the mark, all in bytes."""
        magic, version, _, sector = SUPER.unpack(log.read(SUPER.size))
        if (magic, version) != (MAGIC, 1):
            raise LabError("cannot read the log of writes: no dm-log-writes log; the machine wrote nothing")
        at = sector
        while True:
            log.seek(at)
            where, count, flags, _ = ENTRY.unpack(log.read(ENTRY.size))
            size = 0 if flags & DISCARD else count * sector
            if where * sector == self.mark:
                return
            if not (size or flags):
                raise LabError(f"cannot read the log of writes: it ends at byte {at} without a mark")
            yield where * sector, at + sector, size, flags
            at += sector + size
