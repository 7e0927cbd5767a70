# Runs index.py as documented: main(args), and what it gives back decides. The directory of the module comes first where modules are
# looked for, the one that holds all modules second.
import os
import stat
import sys
from importlib.machinery import PathFinder

HERE = os.getcwd()
BESIDE = os.path.dirname(HERE)


def judge(place):
    """What lies beside the module was not verified with it: it must be root's, and nobody else's to write."""
    if not place.startswith(os.path.join(BESIDE, "")) or place.startswith(os.path.join(HERE, "")):
        return
    walked = BESIDE
    for part in os.path.relpath(place, BESIDE).split(os.sep):
        walked = os.path.join(walked, part)
        try:
            seen = os.lstat(walked)
        except FileNotFoundError:
            return
        if stat.S_ISLNK(seen.st_mode):
            raise ImportError("refusing %s: it is a symbolic link; put there what it leads to" % walked)
        if seen.st_uid not in (0, os.geteuid()):
            raise ImportError("refusing %s: it belongs to user %d, not to root" % (walked, seen.st_uid))
        if seen.st_mode & 0o022:
            raise ImportError("refusing %s: others can write it; chmod go-w it" % walked)


class Judged:
    """Finds as Python itself does, and judges what it has found."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            for place in (spec.origin, spec.cached, *(spec.submodule_search_locations or ())):
                if isinstance(place, str):
                    judge(place)
        return spec


def code(done):
    """The exit code for what main(args) gave back."""
    if isinstance(done, dict):
        done = done.get("success")
    if hasattr(done, "__await__") or hasattr(done, "__next__"):
        sys.exit("main(args) gave back work that nobody has done: it is async, or it yields")
    if done is None or isinstance(done, bool):
        return 1 if done is False else 0
    if isinstance(done, (int, float)):
        # An exit code is a byte: 256 would count as success.
        return 0 if done == 0 else int(done) if done in range(1, 256) else 1
    return 0


if sys.prefix != sys.base_prefix:
    import sysconfig

    if not os.path.isdir(sysconfig.get_path("purelib")):
        name = os.path.basename(HERE)
        sys.exit("its virtual environment was made by another Python; patch-modules setup %s" % name)

sys.path[:0] = [HERE, BESIDE]
sys.meta_path.insert(sys.meta_path.index(PathFinder), Judged)
try:
    import index
except SystemExit as end:
    if end.code in (None, 0):
        sys.exit("index.py has ended before its main(args) could be called")
    raise
if not callable(getattr(index, "main", None)):
    sys.exit("index.py has no function main(args)")
sys.exit(code(index.main(sys.argv[1:])))
