"""What a line of the table is made of. Nothing here does anything."""

from dataclasses import dataclass, field

# What the clients are called in the table: 1.0.5 with API v2, 0.4.3 with v1, 0.4.3 with v2, Foreman's.
MODERN, OLD, OLD_V2, FOREMAN = "M", "O", "2", "F"
# What a step says that wants its script to stay where it is until the end of the scenario.
HELD = "held"


@dataclass(frozen=True)
class Script:
    """One file of a script directory. It records itself, says two lines, does what it is told, and exits.

    In `does`: `at NAME` waits until the harness has done what the step has for NAME; `late` records that the script came so far;
    `first` is true at its first start only; `{here}` is the scratch directory of the run.
    """

    name: str = "10"
    rc: int = 0
    does: str = ""
    mode: int = 0o755
    owner: int = 0
    shebang: str = "#!/bin/sh"
    raw: str | None = None      # the whole text, in place of all that
    link: str | None = None     # what it is a symbolic link to
    folder: bool = False        # a directory of this name


@dataclass(frozen=True)
class Run:
    """A step: the client is run. `meanwhile` has what the harness does when a script is `at` a name."""

    args: tuple = ()
    hurry: bool = False
    env: dict = field(default_factory=dict)
    meanwhile: dict = field(default_factory=dict)


def run(*args, **options):
    """A step: the client is run with these arguments."""
    return Run(args, **options)


@dataclass(frozen=True)
class Differs:
    """On purpose: what this closes, and what exactly each of the two shows."""

    why: str
    theirs: object
    ours: object


@dataclass(frozen=True)
class Case:
    """A scenario: scripts, settings, steps. A phase that is not named has one script `10`, which says the harmless thing."""

    name: str
    kinds: str = "MOF"
    scripts: dict = field(default_factory=dict)     # phase: scripts
    steps: tuple = (Run(),)
    dotenv: dict = field(default_factory=dict)      # settings of 1.0.5; None takes one out
    ini: dict = field(default_factory=dict)         # settings of the others
    text: object = None                             # a function of the configuration's text
    told: str = "{lock}"                            # the name of the lock, as scripts are told it
    notify: bool = False                            # with a script in ext_notify.d
    service: str = "shared"                         # or "own", that the steps may kill
    answers: dict = field(default_factory=dict)     # a service that says only this: method: [(status, body)], the last for ever
    secret: str | None = None                       # in place of the right one
    default_path: bool = False                      # the configuration is where it is looked for, and not named
    unsorted: bool = False                          # Foreman's client reads directories in their own order
    waits: bool = False                             # ours sleeps between two tries, for some seconds
    says: str = ""                                  # a pattern: what the original says, so that it is seen to end for this reason
    differs: dict = field(default_factory=dict)     # facet: Differs, or {kinds: Differs}

    def difference(self, facet, kind):
        """How a client differs in a facet on purpose."""
        entry = self.differs.get(facet)
        if isinstance(entry, dict):
            return next((differs for kinds, differs in entry.items() if kind in kinds), None)
        return entry
