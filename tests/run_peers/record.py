"""What the scripts of a run have recorded, and what their environment has to be."""

import os

from tests.hosts.error import LabError

from .peers import USER
from .scenario import FOREMAN, MODERN

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What the shell and Python between the harness and Foreman's client add (PEP 538).
OF_INTERPRETERS = {"PWD": os.getcwd(), "LC_CTYPE": "C.UTF-8"}
# What came of a script later; who has left its parent has no environment of its own to show.
LATE = ":late"


class Records:
    """The records of one side."""

    def __init__(self, peer, lock):
        self.peer, self.lock = peer, lock
        self.records = list(read((peer.folder / "record").read_bytes()))

    def ran(self):
        """Each script with its arguments, in order."""
        return " ".join(self.token(argv) for argv, _, _ in self.records)

    def sorted(self):
        """The same, as it would be if each directory were in the order of names."""
        phases = list(dict.fromkeys(self.token(argv).split("/")[0] for argv, _, _ in self.records))
        return " ".join(sorted((self.token(argv) for argv, _, _ in self.records),
                               key=lambda token: (phases.index(token.split("/")[0]), token.encode())))

    def states(self):
        """What the state file said to each."""
        return " ".join(state for _, state, _ in self.records)

    def token(self, argv):
        """folder/name(arguments): the lock's name is the same for all and left out; scratch paths are shortened."""
        return short(argv[0]) + (f"({','.join(self.argument(word) for word in argv[1:])})" if argv[1:] else "")

    def argument(self, word):
        return "LOCK" if word == self.lock else short(word) if word.startswith(str(self.peer.folder)) else word

    def wrong_environments(self):
        """Every script whose environment is not what a script of this client, or of ours, must have."""
        for argv, state, found in self.records:
            if argv[0].endswith(LATE):
                continue
            wanted = self.wanted(argv[0], "needs_update" if state == "-" else state.rstrip("\r"))
            unequal = {name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)}
            if unequal:
                details = ", ".join(f"{name}: {found.get(name)!r}, not {wanted.get(name)!r}" for name in sorted(unequal))
                return [f"environment of {short(argv[0])}: {details}"]
        return []

    def wanted(self, script, state):
        """Ours is that of 1.0.x for all: 0.4.3 had neither PATH nor HOME, Foreman's client passed its own on (W32)."""
        of_run = {"DLM_ENGINE_UPDATER_LOCK_NAME": self.lock, "DLM_ENGINE_UPDATER_PHASE": state}
        if not self.peer.ours and self.peer.kind == FOREMAN:
            return self.peer.inherited | OF_INTERPRETERS
        if not self.peer.ours and self.peer.kind != MODERN:
            return of_run
        home = self.peer.folder / "home"
        user, where = (USER, str(home)) if script.startswith(str(home)) else ("root", "/root")
        return of_run | {"PATH": PATH, "USER": user, "LOGNAME": user, "HOME": where}


def read(data):
    """(argv, state, environment) of each record."""
    words = iter(data.split(b"\0"))
    for number in words:
        if not number:
            return
        argv = [next(words).decode(errors="replace") for _ in range(int(number))]
        state = next(words).decode(errors="replace")
        environment = {}
        for word in iter(lambda: next(words, None), b""):
            if word is None:
                raise LabError("a record that was not finished")
            name, _, value = word.decode(errors="replace").partition("=")
            environment[name] = value
        yield argv, state, environment


def short(path):
    """update/10 for …/update.d/10."""
    folder, _, name = path.rpartition("/")
    return f"{folder.rpartition('/')[2].removesuffix('.d')}/{name}"
