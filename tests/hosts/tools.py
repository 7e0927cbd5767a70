"""Programs of the machine that the laboratory calls, and the packages that bring them."""

import shutil

from .error import LabError

PACKAGES = {
    "apt-cache": "apt",
    "apt-ftparchive": "apt-utils",
    "apt-get": "apt",
    "busybox": "busybox-static",
    "debootstrap": "debootstrap",
    "dpkg-deb": "dpkg",
    "dpkg-scanpackages": "dpkg-dev",
    "ip": "iproute2",
    "e2fsck": "e2fsprogs",
    "mke2fs": "e2fsprogs",
    "mount": "mount",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "systemd-nspawn": "systemd-container",
    "tar": "tar",
    "unshare": "util-linux",
    "zstd": "zstd",
}


def require(*names):
    """Stop with the command that would help if one of the programs is not there."""
    absent = [name for name in names if shutil.which(name) is None]
    if absent:
        packages = " ".join(sorted({PACKAGES[name] for name in absent}))
        raise LabError(f"cannot find {', '.join(absent)}: apt-get install {packages}")
