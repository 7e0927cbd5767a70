"""A stock Debian kernel for virtual machines, with an initrd that mounts one ext4 disk. The machine's own is not touched.

Kept as a tarball with `vmlinuz` and `initrd`.
"""

import shutil
import subprocess
from pathlib import Path

from . import roots, tools
from .archive import RELEASE, Archive
from .error import LabError
from .kept import kept

PACKAGE = "linux-image-cloud-amd64"
INIT = Path(__file__).with_name("vm-init.sh")
# ext4 and the serial console are built in; what these need besides is found by depmod.
MODULES = ("virtio_pci", "virtio_blk", "virtio_console")


def ensure(progress=lambda line: None):
    """The tarball, made now if it is not in the cache."""
    tools.require("busybox", "dpkg-deb", "tar", "zstd")
    below = roots.ensure("minimal", progress)

    def make(draft):
        with Archive(roots.status_of(below), wanted={RELEASE}) as archive:
            debs = archive.download("install", PACKAGE, to=draft / "debs")
        unpack(debs, draft / "unpacked")
        (draft / "kernel").mkdir()
        shutil.copy(next((draft / "unpacked/boot").glob("vmlinuz-*")), draft / "kernel/vmlinuz")
        pack_initrd(draft / "unpacked", draft / "initrd", draft / "kernel/initrd")
        run("tar", "--create", "--zstd", f"--file={draft / 'packed'}", f"--directory={draft / 'kernel'}", ".")
        return draft / "packed"

    return kept("kernel", (RELEASE, PACKAGE, MODULES, INIT.read_text()), make, progress)


def unpack(debs, place):
    """Unpack the one kernel among the packages: the one that PACKAGE, which is empty, depends on."""
    images = [deb for deb in debs if deb.name.startswith("linux-image-") and not deb.name.startswith(f"{PACKAGE}_")]
    if len(images) != 1:
        raise LabError(f"cannot tell the kernel of {PACKAGE}: the archive sent {[deb.name for deb in debs]}")
    run("dpkg-deb", "--extract", images[0], place)


def pack_initrd(unpacked, tree, initrd):
    """busybox, the modules with what they depend on, and our init."""
    for name in ("bin", "dev", "proc", "sys", "root"):
        (tree / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), tree / "bin/busybox")
    run("chroot", tree, "/bin/busybox", "--install", "-s", "/bin")
    shutil.copy(INIT, tree / "init")
    modules = next((unpacked / "lib/modules").iterdir())
    run("busybox", "depmod", "-b", unpacked, modules.name)
    for path in needed(modules / "modules.dep"):
        copy = tree / "lib/modules" / modules.name / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(modules / path, copy)
    run("busybox", "depmod", "-b", tree, modules.name)
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    with initrd.open("wb") as output:
        subprocess.run(["busybox", "cpio", "-o", "-H", "newc"], cwd=tree, input=names.encode(), stdout=output,
                       stderr=subprocess.DEVNULL, check=True)


def needed(dependencies):
    """The files of MODULES and of what they depend on, from a modules.dep(5)."""
    files = set()
    for line in dependencies.read_text().splitlines():
        name, others = line.split(":")
        if Path(name).name.split(".ko")[0] in MODULES:
            files |= {name, *others.split()}
    return files


def run(*argv):
    """Run a program of the machine that must succeed."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(f"cannot run {' '.join(map(str, argv))}: code {done.returncode}: {done.stderr or done.stdout}")
