"""One side of a scenario: the steps are done, and what came of them is told in words that can be compared with the other side's."""

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.hosts.error import LabError
from tests.lockd_clients.updaters import end

from .answers import Answers
from .peers import KINDS
from .record import Records
from .scenario import HELD, Run

HERE = Path(__file__).parent
# More than the longest pause of 0.4.3 and Foreman's client between two tries, which ours has as well.
DEADLINE = 90


@dataclass
class Outcome:
    """What came of it. The facets of the table are its first fields."""

    codes: str = ""         # the exit codes, in order of the steps
    ran: str = ""           # folder/name(arguments) of each script, in order
    states: str = ""        # what the state file said to each of them
    state: str = ""         # what it says in the end
    lock: str = ""          # who has the lock in the end: free, ours, or another one's name
    history: str = ""       # what happened to the lock
    said: str = ""          # the lines of scripts that are in the log
    asked: str = ""         # what a service that says only one thing was asked
    faults: list = field(default_factory=list)  # what must not be whatever the other side does
    words: str = ""         # all that the client said


class Side:
    """The real client, or ours, in a scratch directory of its own."""

    def __init__(self, stage, case, kind, ours, folder):
        self.case, self.kind, self.ours = case, kind, ours
        self.lock = f"{case.name}-{kind.lower()}-{'ours' if ours else 'theirs'}"
        self.service = stage.shared
        if case.service == "own":
            self.service = stage.service(folder / "service")
            self.service.start()
        if case.answers:
            self.service = Answers(stage.authority, case.answers)
        self.peer = KINDS[kind](stage, case, folder, self.service, self.lock, ours)
        self.told = case.told.format(lock=self.lock)
        self.codes = []

    def close(self):
        """End what runs for this side alone."""
        if self.case.service == "own" or self.case.answers:
            self.service.kill()

    def outcome(self):
        """Do the steps; what came of them."""
        for step in self.case.steps:
            self.run(step) if isinstance(step, Run) else step(self)
        self.settle()
        return self.look()

    def run(self, step):
        """Run the client, and do what the step has for the places where its scripts stop."""
        self.peer.environment = {name: value.format(here=self.peer.folder, lock=self.lock, plugins=HERE / "plugins")
                                 for name, value in step.env.items()}
        place = len(self.codes)
        self.codes.append(None)
        args = [arg() if callable(arg) else arg for arg in step.args]
        process = self.peer.start(*args, hurry=step.hurry)
        try:
            self.attend(process, dict(step.meanwhile))
            self.codes[place] = process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.codes[place] = "hangs"
        finally:
            end(process)

    def attend(self, process, meanwhile):
        """Until all is done that is to be done meanwhile, or the client has ended."""
        deadline = time.monotonic() + DEADLINE
        while meanwhile and time.monotonic() < deadline:
            over = process.poll() is not None
            for name in [name for name in meanwhile if name == "busy" or (self.peer.folder / f"at-{name}").exists()]:
                done = meanwhile[name](self, process)
                if done is not False:
                    del meanwhile[name]
                    if done != HELD:
                        (self.peer.folder / f"go-{name}").touch()
            if over:
                return
            time.sleep(0.01)

    def settle(self):
        """What has outlived its client comes to its end, so that it is seen."""
        for place in self.peer.folder.glob("at-*"):
            (self.peer.folder / place.name.replace("at-", "go-")).touch()
        self.peer.quiet()

    def look(self):
        """The facets."""
        records = Records(self.peer, self.told)
        seen = Outcome(codes=" ".join(map(code, self.codes)), ran=records.ran(), states=records.states(),
                       state=self.peer.end_state().removesuffix("\n"), said=self.peer.lines_of_scripts(), words=self.peer.words())
        if self.case.unsorted:
            seen.ran = "sorted" if seen.ran == records.sorted() else "unsorted"
        seen.faults = records.wrong_environments() + self.peer.wrong_log_lines()
        if self.case.answers:
            seen.asked = " ".join(self.service.asked)
        else:
            if not self.service.process:
                self.service.start()
            seen.lock = self.holder()
            seen.history = " ".join(event for event, *_ in self.service.history(self.told))
        return seen

    def holder(self):
        """Who has the lock."""
        try:
            owners = self.service.holders(self.told)
        except LabError:  # a lock that nobody has ever asked for
            return "free"
        return " ".join("ours" if owner == self.peer.name else owner for owner in owners) or "free"


def code(number):
    """An exit code as a shell has it."""
    return str(number if not isinstance(number, int) or number >= 0 else 128 - number)
