"""qemu in a root of its own, so that the machine's packages stay as they are.

Taken from the release's backports, for it emulates a kernel almost twice as fast as the release's own; where the archive no longer
has them, from the release.
"""

from . import roots, tools
from .archive import RELEASE, Archive, Source, sources
from .error import LabError
from .kept import kept

PACKAGES = ("qemu-system-x86",)
BACKPORTS = f"{RELEASE}-backports"


def ensure(progress=lambda line: None):
    """The tarball of the root, made now if it is not in the cache."""
    tools.require("unshare", "zstd", "tar")
    below = roots.ensure("minimal", progress)

    def make(draft):
        download(roots.status_of(below), draft / "debs")
        roots.run_builder(draft, below, draft / "debs", roots.ANONYMOUS)
        return draft / "root.tar.zst"

    return kept("qemu", (roots.digest("minimal"), PACKAGES), make, progress)


def download(status, place):
    """The packages, and what they need that the root has not."""
    main = next(source for source in sources() if source.suite == RELEASE)
    try:
        with Archive(status, wanted={RELEASE}, more=(Source(main.uri, BACKPORTS, main.keyring),)) as archive:
            archive.download("--target-release", BACKPORTS, "install", *PACKAGES, to=place)
    except LabError:
        with Archive(status, wanted={RELEASE}) as archive:
            archive.download("install", *PACKAGES, to=place)
