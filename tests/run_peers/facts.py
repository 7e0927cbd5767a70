"""What the originals did, kept below the build output: they take ten times as long as ours, and do the same until something changes.

An outcome is kept under a name made of all that it came of: the scenario without what is expected of it, this package, the hosts and the service of
tests/lockd_clients, the clients' packages, the source of the service that they talked to, and for constraints on dates the day. Nothing else is
kept, and nothing is committed. Where ours does not do what is kept, the original runs again before anything is said about it.
"""

import dataclasses
import datetime
import hashlib
import json
import os
import sys
import time
import types
from pathlib import Path

from tests import site
from tests.lockd_clients.updaters import environment

from .scenario import Case, Run
from .side import Outcome

HERE = Path(__file__).parent
# What does not change what an original does: the expectations, and what is done with its outcome.
NO_CAUSE = ("__main__.py", "compare.py", "reading.py", "read_dotenv.py", "facts.py", "pages.py")
EXPECTATIONS = ("differs", "says", "waits")
SERVICE = ("Cargo.lock", "src/lock/book", "src/lock/server", "src/lock/book.rs", "src/lock/grant.rs", "src/lock/name.rs", "src/lock/server.rs",
           "src/lock/wire.rs", "src/cmd/patch_lockd", "src/cmd/patch_lockd.rs")
# What nobody has asked for so long came of something that is no more.
FORGOTTEN = 30 * 24 * 3600


class Facts:
    """Outcomes that are kept, by scenario and client. `afresh` has the names and clients for which nothing counts as known; None: all."""

    def __init__(self, afresh=frozenset()):
        self.folder = Path(os.environ.get("CARGO_TARGET_DIR", site.TOP / "target")) / "run-peers"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.afresh, self.causes = afresh, causes()
        for path in self.folder.iterdir():
            if path.stat().st_mtime < time.time() - FORGOTTEN:
                path.unlink(missing_ok=True)

    def get(self, case, kind):
        """What the original did; None if that is not known."""
        path = self.path(case, kind)
        if self.afresh is None or (case.name, kind) in self.afresh or not path.exists():
            return None
        os.utime(path)
        return Outcome(**json.loads(path.read_text()))

    def keep(self, case, kind, outcome):
        """What the original did."""
        path = self.path(case, kind)
        draft = path.with_suffix(".part")
        draft.write_text(json.dumps(dataclasses.asdict(outcome)))
        draft.rename(path)

    def path(self, case, kind):
        by_day = any(callable(arg) for step in case.steps if isinstance(step, Run) for arg in step.args)
        day = str(datetime.date.today()) if by_day else ""
        told = json.dumps([self.causes, day, kind, plain(case)], sort_keys=True)
        return self.folder / f"{hashlib.sha256(told.encode()).hexdigest()}.json"


def causes():
    """All but the scenario and the day that an outcome comes of, as a number."""
    sources = [path for path in (*HERE.glob("*.*"), *(HERE / "plugins").glob("*.py"), *(HERE.parent / "lockd_clients").glob("*.py")) if path.name not in NO_CAUSE]
    for place in SERVICE:
        path = site.TOP / place
        sources += [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    found = hashlib.sha256(sys.version.encode())
    for path in sorted(sources):
        found.update(path.read_bytes())
    for client in ("dlm-1.0", "dlm-0.4", "foreman"):
        found.update(" ".join(sorted(path.name for path in environment(client).glob("lib/*/site-packages/*.dist-info"))).encode())
    return found.hexdigest()


def plain(thing):
    """A scenario in words: functions by their code, and what they hold on to."""
    if isinstance(thing, Case):
        return {field.name: plain(getattr(thing, field.name)) for field in dataclasses.fields(thing) if field.name not in EXPECTATIONS}
    if dataclasses.is_dataclass(thing):
        return [type(thing).__name__, *(plain(getattr(thing, field.name)) for field in dataclasses.fields(thing))]
    if isinstance(thing, dict):
        return {str(key): plain(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [plain(one) for one in thing]
    if isinstance(thing, types.FunctionType):
        return [thing.__qualname__, code(thing.__code__), *(plain(cell.cell_contents) for cell in thing.__closure__ or ())]
    return repr(thing)


def code(compiled):
    """A function's code, with that of the functions in it, without where it stands."""
    inner = [code(one) if isinstance(one, types.CodeType) else repr(one) for one in compiled.co_consts]
    return [compiled.co_code.hex(), inner, list(compiled.co_names)]
