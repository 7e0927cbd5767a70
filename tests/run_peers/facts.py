"""What the originals did, kept below the build output: they take ten times as long as ours, and do the same until something changes.

An outcome is kept under a name made of all that it came of: the scenario without what is expected of it, this package, the hosts and the service of
tests/lockd_clients, the clients' packages, the patch-lockd that they talked to, and the day. Nothing else is kept, and nothing is committed.
"""

import dataclasses
import datetime
import functools
import hashlib
import json
import os
import types
from pathlib import Path

from tests import site
from tests.lockd_clients.updaters import environment

from .scenario import Case
from .side import Outcome

HERE = Path(__file__).parent
# What does not change what an original does: the expectations, and what is done with its outcome.
NO_CAUSE = ("__main__.py", "compare.py", "reading.py", "read_dotenv.py", "facts.py")
EXPECTATIONS = ("differs", "says")


class Facts:
    """Outcomes that are kept, by scenario and client."""

    def __init__(self, tools, fresh=False):
        self.folder = Path(os.environ.get("CARGO_TARGET_DIR", site.TOP / "target")) / "run-peers"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.fresh, self.causes = fresh, causes(tools)

    def get(self, case, kind):
        """What the original did; None if that is not known."""
        path = self.path(case, kind)
        return Outcome(**json.loads(path.read_text())) if path.exists() and not self.fresh else None

    def keep(self, case, kind, outcome):
        """What the original did."""
        path = self.path(case, kind)
        draft = path.with_suffix(".part")
        draft.write_text(json.dumps(dataclasses.asdict(outcome)))
        draft.rename(path)

    def path(self, case, kind):
        told = json.dumps([self.causes, kind, plain(case)], sort_keys=True)
        return self.folder / f"{hashlib.sha256(told.encode()).hexdigest()}.json"


@functools.cache
def causes(tools):
    """All but the scenario that an outcome comes of, as a number."""
    sources = [path for path in (*HERE.glob("*.*"), *(HERE.parent / "lockd_clients").glob("*.py")) if path.name not in NO_CAUSE]
    found = hashlib.sha256(str(datetime.date.today()).encode())
    for path in (*sorted(sources), tools / "usr/sbin/patch-lockd"):
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
