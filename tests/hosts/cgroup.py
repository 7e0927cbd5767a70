"""A control group for each guest.

systemd as the init of a guest takes over the control group it is started in, so two guests must not share
one, and none may share the machine's. Works on cgroup v2 alone and on the hybrid layout with a named
systemd hierarchy.
"""

import contextlib
import os
import signal
from pathlib import Path

from .error import LabError
from .wait import wait_for

MOUNT = Path("/sys/fs/cgroup")
PREFIX = "patchflag-lab"
# A killed process ends when the kernel lets it: one that waits for a disk that others write to is late.
PATIENCE = 60


def hierarchies():
    """The roots below which a guest needs a group: the one of cgroup v2, or systemd's two of the hybrid layout."""
    if (MOUNT / "cgroup.procs").exists():
        return [MOUNT]
    return [tree for tree in (MOUNT / "systemd", MOUNT / "unified") if tree.is_dir()]


def create(name):
    """Make the groups of a guest and return their folders."""
    groups = [tree / f"{PREFIX}-{os.getpid()}-{name}" for tree in hierarchies()]
    for group in groups:
        group.mkdir(exist_ok=True)
    return groups


def of(pid):
    """The groups that a process is in."""
    paths = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, name, path = line.split(":", 2)
        paths[name] = path.lstrip("/")
    if hierarchies() == [MOUNT]:
        return [MOUNT / paths[""]]
    return [MOUNT / "systemd" / paths["name=systemd"], MOUNT / "unified" / paths[""]]


def joined(groups, argv):
    """The command line that moves itself into the groups and then becomes `argv`."""
    files = [str(group / "cgroup.procs") for group in groups]
    script = 'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ >"$1"; shift; n=$((n - 1)); done; exec "$@"'
    return ["sh", "-c", script, "sh", str(len(files)), *files, *argv]


def remove(group):
    """Remove a group and those the guest made below it, of a guest that is off. Whoever is still in it ends, maybe a moment late."""
    def end_all():
        for pid in members(group):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return try_remove(group)

    try:
        wait_for(end_all, PATIENCE, f"the end of the processes in {group}")
    except LabError as error:
        raise LabError(f"{error}: {'; '.join(left(group)) or 'the kernel shows none'}") from None


def members(group):
    """The processes in a group or below it; never one of another world, whose number is 0 here."""
    for folder, _, _ in os.walk(group):
        yield from (int(pid) for pid in said(Path(folder, "cgroup.procs")).split() if int(pid) > 1)


def left(group):
    """Who is still in a group or below it, for people: number, name, state, and where in the kernel it waits."""
    for pid in members(group):
        proc = Path(f"/proc/{pid}")
        state = said(proc / "stat").rpartition(")")[2].split()[:1]
        yield f"process {pid} {said(proc / 'comm')} {' '.join(state)} in {said(proc / 'wchan')}"


def said(path):
    """What a file of the kernel's says; nothing when it is gone."""
    with contextlib.suppress(OSError):
        return path.read_text().strip()
    return ""


def try_remove(group):
    """Remove what can be removed; true when nothing is left."""
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):  # EBUSY while somebody is in it
            os.rmdir(folder)
    return not group.exists()


def guests():
    """The groups of all guests of the machine."""
    return [group for tree in hierarchies() for group in tree.glob(f"{PREFIX}-*")]


def sweep():
    """Remove the groups of laboratories whose program was killed; the next sweep takes those still in use."""
    for group in guests():
        if not Path(f"/proc/{owner_of(group)}").exists():
            try_remove(group)


def owner_of(group):
    """The process whose guest a group was made for."""
    return int(group.name.removeprefix(f"{PREFIX}-").split("-")[0])
