"""A host's root file system: an overlay in memory over the base root of its kind.

Shutting a host down remounts its root read-only, and that is a property of the whole file system, not of the
folder. So a root must be a mount of its own; a folder of the machine's disk is refused, for the machine's disk
would be read-only afterwards.
"""

import os
from pathlib import Path

from .error import LabError

OWN = ("overlay", "tmpfs")


class Disk:
    """The writable root of one host, `size` bytes of it (as tmpfs(5) writes sizes)."""

    def __init__(self, lab, name, base, size):
        self.lab = lab
        self.home = f"/run/lab/hosts/{name}"
        self.root = f"{self.home}/root"
        lab.run("sh", "-euc", """
            home=$1 base=$2 size=$3
            mkdir -p "$home/disk" "$home/root"
            mount -t tmpfs -o "mode=755,size=$size" disk "$home/disk"
            mkdir "$home/disk/upper" "$home/disk/work"
            mount -t overlay -o "lowerdir=$base,upperdir=$home/disk/upper,workdir=$home/disk/work,redirect_dir=on" \
                root "$home/root"
            """, "sh", self.home, base, size)

    def make_ready(self):
        """Undo what the last shutdown did to the mount, having made sure that it is one."""
        refuse_shared(self.lab, self.root)
        self.lab.run("mount", "-o", "remount,rw", self.root)

    def remove(self):
        """Give the memory back; the guest must have ended."""
        self.lab.run("umount", self.root, f"{self.home}/disk")
        self.lab.run("rm", "-rf", "--one-file-system", self.home)


def refuse_shared(lab, root):
    """Stop unless `root` is a mount of its own that lives in memory."""
    for line in Path(f"/proc/{lab.anchor}/mountinfo").read_text().splitlines():
        fields, kind = line.split(" - ")
        if fields.split()[4] == root and kind.split()[0] in OWN:
            return
    raise LabError(f"refusing {root} as the root of a host: it is no overlay or tmpfs of its own, and the host's "
                   "shutdown would leave the file system it lies on read-only; let Host make its root")


def inside(root, path):
    """Where `path` of the system below `root` lies, every symbolic link on the way read as that system reads it.

    The last component is not followed, as lstat(2) does not: tests look at links too.
    """
    where = Path(root)
    parts = [part for part in str(path).split("/") if part not in ("", ".")]
    hops = 0
    while parts:
        part = parts.pop(0)
        if part == "..":
            where = where if where == Path(root) else where.parent
            continue
        where = where / part
        if parts and where.is_symlink():
            hops += 1
            if hops > 40:
                raise LabError(f"cannot resolve {path}: too many symbolic links")
            target = os.readlink(where)
            where = Path(root) if target.startswith("/") else where.parent
            parts = [piece for piece in target.split("/") if piece not in ("", ".")] + parts
    return where
