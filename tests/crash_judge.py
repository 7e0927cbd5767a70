"""What must be true of a host that lost its power in the middle of a run. Pure: facts in, broken promises out.

The facts are of two moments. Of the first, the loss: what the console had said before it, and what the disk held after
it. Of the second, the end: what there is when the host was booted again and left to its ticks.
"""

import re
import zlib
from dataclasses import dataclass, field

# The way of a run (patchflag(5)); each state may only be followed by these.
FOLLOWS = {
    None: {"fetching"},
    "fetching": {"fetching", "staged", "failing", "expiring", "ending"},
    "staged": {"ordered", "starting", "failing", "expiring", "ending"},
    "ordered": {"starting", "failing", "expiring", "ending"},
    "starting": {"installing", "failing", "ending"},
    "installing": {"installed", "failing", "failed"},
    "installed": {"failing", "failed"},
    "failing": {"failed"},
    "expiring": {"ending"},
    "ending": {"ended"},
}
BEFORE_ANY_CHANGE = {None, "fetching", "staged", "ordered"}


@dataclass(frozen=True)
class Record:
    """A line of a journal: its pairs, and whether its sum is right."""

    pairs: dict
    whole: bool


@dataclass
class Loss:
    """The moment of the loss."""

    seen: list  # states that the console had shown, oldest first
    check: int = 0  # e2fsck: 0 clean, 1 mended
    flag: bool = True
    journal: str | None = None
    done: bool = False
    dated: dict = field(default_factory=dict)
    trigger: bool = False
    witness: list = field(default_factory=list)
    status: tuple = (0, "")


@dataclass
class End:
    """The end: names and texts below /etc, mails by name, what the installation left, what tools say."""

    level: str
    normal: str
    boots: int  # since the loss
    status: tuple  # exit code and word of patch-status
    trigger: bool
    etc: list
    dated: dict
    before: dict  # the dated archives that were there before the run
    mails: list
    witness: list
    failed: str | None  # where patchfailed leads
    audit: str = ""


def records(text):
    """The records of a journal."""
    return [record(line) for line in text.split("\n") if line]


def record(line):
    """One line: quoted values are left as they are, for only plain ones are asked for."""
    before, mark, check = line.rpartition(" sum=")
    whole = bool(mark) and f"{zlib.crc32(before.encode()):08x}" == check
    return Record(dict(re.findall(r'(?:^| )([a-z_0-9]+)=("(?:[^"\\]|\\.)*"|[^ "]*)', line)), whole)


def states(text):
    """The states of a journal, by whole records."""
    return [entry.pairs["state"] for entry in records(text) if entry.whole and "state" in entry.pairs]


def newest(dated, before):
    """The journals of the run: dated archives that were not there before it."""
    return [text for name, text in sorted(dated.items()) if name not in before]


def judge_loss(loss, before):
    """What the disk must hold after the loss."""
    if loss.check > 1:
        yield f"the file system is damaged beyond mending: e2fsck says {loss.check}"
    code, word = loss.status
    if code:
        yield f"patch-status ends with {code} on what the loss left: {word}"
    texts = newest(loss.dated, before) + ([loss.journal] if loss.journal else [])
    known = [state for text in texts for state in states(text)]
    for text in texts:
        whole = [entry.whole for entry in records(text)]
        if not all(whole[:-1]):
            yield f"a record that is not the last has a wrong sum: {text!r}"
    # A state that the console showed may be in a page cache; once the next one was shown, it was acted upon.
    for state in loss.seen[:-1]:
        if state not in known:
            yield f"the record state={state} is lost, though the host went on to {loss.seen[-1]}"
    last = known[-1] if known else None
    if last in BEFORE_ANY_CHANGE and not loss.done and not loss.flag:
        yield f"patchflag is gone at state {last}: a run that nobody called off would be called off"
    if loss.trigger and "ordered" not in known:
        yield "a maintenance boot is ordered at init, and the journal does not know of it"
    if loss.trigger and set(known) & {"installing", "installed"}:
        yield f"a maintenance boot is still ordered at init at state {last}"
    if loss.witness and "installing" not in known:
        yield f"something was installed, and the journal does not know of it: {loss.witness}"
    if loss.done and "installed" not in known:
        yield "patchdone is up, and no journal says installed"


def judge_end(end, steps):
    """What must be true when the host has come to rest. `steps` are what a whole installation writes, each once."""
    if end.level != end.normal:
        yield f"the host is at {end.level or 'no level'}, not at {end.normal}"
    if end.boots > 3:
        yield f"it took {end.boots} boots to come to rest"
    if end.status != (0, "idle"):
        yield f"patch-status says {end.status}, not idle"
    if end.trigger:
        yield "a maintenance boot is still ordered at init"
    for name in ("patchflag", "patchlog", "patchdone"):
        if name in end.etc:
            yield f"/etc/{name} is still there"
    if left := [name for name in end.etc if re.match(r"\.(inittab|patch)", name)]:
        yield f"left over below /etc: {left}"
    for name, text in end.before.items():
        if end.dated.get(name) != text:
            yield f"the archive {name} is not what it was"
    yield from judge_run(end, steps)


def judge_run(end, steps):
    """The one run that was ordered: its journal, its installation, its mail."""
    texts = newest(end.dated, end.before)
    runs = sorted({entry.pairs["run"] for text in texts for entry in records(text) if "run" in entry.pairs})
    if len(texts) != 1 or len(runs) != 1:
        yield f"one order, and the journals are {sorted(set(end.dated) - set(end.before))} of the runs {runs}"
        return
    known = states(texts[0])
    for state, following in zip([None, *known], known):
        if following not in FOLLOWS.get(state, ()):
            yield f"the journal goes from {state} to {following}"
    if known.count("installing") > 1:
        yield "the run installed more than once"
    if end.mails != runs:
        yield f"the run is {runs[0]}, and the mails are {end.mails}"
    verdicts = [entry.pairs["verdict"] for entry in records(texts[0]) if entry.whole and "verdict" in entry.pairs]
    over = known[-1:] == ["failed"] or known[-1:] == ["ended"] or known[-1:] == ["installed"] and verdicts[-1:] == ["ok"]
    if not over:
        yield f"the journal ends with {known[-1:]} and verdict {verdicts[-1:]}"
    if (known[-1:] == ["failed"]) != (end.failed is not None):
        yield f"the run ended with {known[-1:]}, and patchfailed leads to {end.failed}"
    interrupted = known[-1:] == ["failed"]
    for step in sorted({*steps, *end.witness}):
        # The package manager runs the script of a package again that it found half configured; nobody else may.
        most = 2 if interrupted and step.startswith("configured ") else 1
        if end.witness.count(step) > most:
            yield f"done {end.witness.count(step)} times: {step}"
        if step not in steps:
            yield f"nobody asked for this step: {step}"
        if "installed" in known and step not in end.witness:
            yield f"the journal says installed, and this was not done: {step}"
    if "installing" not in known and end.witness:
        yield f"the journal does not know of the installation: {end.witness}"
    if end.audit:
        yield f"the package database is not sound: {end.audit}"


def outcome(end):
    """One word for what became of the run."""
    text = (newest(end.dated, end.before) or [""])[0]
    last = (states(text) or ["nothing"])[-1]
    return "patched" if "verdict=ok" in text else "interrupted" if last == "failed" and "installing" in states(text) else last
