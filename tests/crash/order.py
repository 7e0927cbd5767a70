"""The order of writing and flushing, checked in recordings: what a kill cannot show, for it leaves the page cache alone.

A power cut may keep any write and lose any other, unless fsync(2) came in between. So in each recording of a tool:

- a file is flushed after its last change before it gets its name (rename, link), and a tree before it gets its;
- a directory is flushed after a name was made, renamed or removed in it, before the next record of the journal, before a
  program is started, before a server is asked for anything, and before the tool ends;
- a record is one write(2) to the journal, and is flushed before anything else is changed.

Locks are only ever locked, so nobody misses one. A draft's own name is nobody's state.
"""

import os
import re
from dataclasses import dataclass, field

from .trace import OPENS, STARTS, WRITES, is_talk, read

ELSEWHERE = re.compile(r"^(/memfd:|/dev/|/proc/|/sys/|[^/]|$)")
DRAFT = re.compile(r"/\.[^/]*\.draft(/|$)")
RENAMES = {"rename", "renameat", "renameat2", "link", "linkat"}
MAKES = {"mkdir", "mkdirat", "symlink", "symlinkat", "mknod", "mknodat"}
REMOVES = {"unlink", "unlinkat", "rmdir"}
TOUCHES = {"ftruncate", "fchmod", "fchown", "fsetxattr"}
FLUSHES = {"fsync", "fdatasync"}
WORDS = re.compile(r'(?:(?:\d+|AT_FDCWD)<([^>]*)>)|"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Ground:
    """Where a tool has what: its journal; files that nobody misses after a power cut; and where programs write, whose words may wait
    for the record that tells their digest."""

    journal: re.Pattern
    passing: re.Pattern
    outputs: tuple = ()

    def is_state(self, path):
        """It lies on a disk, and somebody may decide by it."""
        return not ELSEWHERE.match(path) and not self.passing.match(path)


CHAIN = Ground(re.compile(r"^/etc/patchlog(\.\d{6}(\.\d+)?)?$"),
               re.compile(r"^(/run/patch/(lock|waiting|hold/[^/]+|\.?worker(\.draft)?)|/var/spool/patch/(lock|delivery))$"),
               ("/var/log/patchflag/",))


@dataclass
class Disk:
    """What a power cut could still lose."""

    ground: Ground = CHAIN
    files: dict = field(default_factory=dict)
    names: dict = field(default_factory=dict)
    record: str = ""
    faults: list = field(default_factory=list)

    def settled(self, before, but=()):
        """Everything must be on disk before this, but what begins with `but`."""
        self.names_settled(before)
        for path in [path for path in self.files if not is_draft(path) and not path.startswith(but)]:
            self.faults.append(f"{path} is not flushed before {before}")
            del self.files[path]

    def names_settled(self, before):
        """Every name must be on disk before this."""
        for folder in [folder for folder in self.names if not is_draft(folder)]:
            self.faults.append(f"the name {self.names.pop(folder)} is not flushed before {before}")

    def recorded(self, before):
        """A record must be on disk before this."""
        if self.record:
            self.faults.append(f"the record in {self.record} is not flushed before {before}")
        self.record = ""

    def named(self, path):
        """A name was made, changed or removed."""
        if self.ground.is_state(path) and not DRAFT.match(f"/{os.path.basename(path)}"):
            self.names.setdefault(os.path.dirname(path), path)

    def moved(self, old, new):
        """A file or tree got a name; what it holds must be on disk."""
        for path in [path for path in self.files if is_below(path, old)]:
            self.faults.append(f"{path} is not flushed before it becomes {new}")
            del self.files[path]
        for folder in [folder for folder in self.names if is_below(folder, old)]:
            self.faults.append(f"the name {self.names[folder]} is not flushed before {old} becomes {new}")
            del self.names[folder]
        self.named(new)
        if os.path.dirname(old) != os.path.dirname(new):
            self.named(old)

    def flushed(self, path):
        """fsync(2) or fdatasync(2) of a file or directory."""
        self.files.pop(path, None)
        self.names.pop(path, None)
        if path == self.record:
            self.record = ""


def is_draft(path):
    """It is a draft, or lies in one: nobody looks at it before it gets its name."""
    return bool(DRAFT.search(path))


def is_below(path, top):
    """The path itself or something in it."""
    return path == top or path.startswith(f"{top}/")


def faults(text, ground=CHAIN):
    """What is wrong with a recording."""
    first, calls = read(text)
    disk = Disk(ground)
    for call in calls:
        if call.name == "exit_group" and call.pid == first:
            disk.recorded("the end")
            disk.settled("the end")
        elif call.succeeded:
            follow(disk, call, call.pid == first)
    return disk.faults


def follow(disk, call, is_tool):
    """What a call does to the disk. Of a tool's children only what they write matters: into the file that it gave them."""
    name, path, ground = call.name, call.path, disk.ground
    if is_talk(call):
        disk.recorded("a server is asked")
        disk.settled("a server is asked")
    if name in WRITES and ground.is_state(path) and (is_tool or path.startswith(ground.outputs)):
        wrote(disk, path)
    if not is_tool:
        return
    if name in FLUSHES:
        disk.flushed(path)
    elif name in TOUCHES and ground.is_state(path):
        disk.recorded(f"{name} of {path}")
        disk.files[path] = True
    elif name in STARTS:
        disk.recorded("a program is started")
        # What programs say may wait for the record that tells its digest.
        disk.settled("a program is started", but=ground.outputs)
    elif name in RENAMES | MAKES | REMOVES or (name in OPENS and "O_CREAT" in call.text):
        renamed(disk, name, paths(call))


def wrote(disk, path):
    """A write: a record of the journal, or bytes of a file."""
    disk.recorded(f"the next write to {path}")
    if disk.ground.journal.match(path):
        disk.files.pop(path, None)  # its mode; a journal that only root may read is no harm
        disk.settled(f"the next record in {path}")
        disk.record = path
    else:
        disk.files[path] = True


def renamed(disk, name, found):
    """A name was changed."""
    if not any(disk.ground.is_state(path) for path in found):
        return
    disk.recorded(f"{name} of {found[-1]}")
    if not is_draft(found[-1]):
        disk.names_settled(f"{name} of {found[-1]}")
    if name in RENAMES:
        disk.moved(*found)
    elif name in REMOVES:
        for path in [path for path in disk.files if is_below(path, found[-1])]:
            del disk.files[path]
        disk.named(found[-1])
    else:
        disk.named(found[-1])


def paths(call):
    """The absolute paths of the names in a call's arguments."""
    found, folder = [], "/"
    for above, name in WORDS.findall(call.arguments):
        if name:
            found.append(os.path.normpath(os.path.join(folder, name)))
        else:
            folder = above
    return found[-1:] if call.name in MAKES | REMOVES | OPENS else found[:2]


@dataclass
class Result:
    """What the check of recordings came to."""

    runs: int = 0
    checked: int = 0
    mutations: int = 0
    violations: list = field(default_factory=list)
    missed: list = field(default_factory=list)

    def add(self, name, text, ground=CHAIN):
        """Check a recording, then each copy of it that lacks one flush: that one must be found wrong."""
        self.runs += 1
        self.checked += sum(call.changes and call.succeeded for call in read(text)[1])
        known = faults(text, ground)
        self.violations += [f"{name}: {fault}" for fault in known]
        lines = text.splitlines()
        first = read(text)[0]
        for number, line in enumerate(lines):
            found = re.match(rf"{first} +(?:fsync|fdatasync)\(\d+<([^>]*)>", line)
            if found and ground.is_state(found[1]):
                self.mutations += 1
                if len(faults("\n".join(lines[:number] + lines[number + 1:]), ground)) == len(known):
                    self.missed.append(f"{name}: nobody would miss {line}")

    def __str__(self):
        caught = self.mutations - len(self.missed)
        return (f"order: runs={self.runs} checked={self.checked} violations={len(self.violations)} "
                f"mutations={self.mutations} caught={caught}")

    @property
    def holds(self):
        """Nothing is wrong, and each flush is needed."""
        return self.runs > 0 and not self.violations and not self.missed
