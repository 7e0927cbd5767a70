"""What must hold when a host whose patch-run was killed is at rest again."""

import re
import zlib

PHASES = ("needs_update", "lock_get", "pre_update", "update", "needs_reboot", "reboot", "post_update", "lock_release")
STATES = {None, *(f"{phase}\n" for phase in PHASES)}
UNDER_LOCK = ("pre_update", "update", "needs_reboot", "reboot", "post_update")
WORK = ("pre_update.d/10-drain", "pre_update.d/20-stop", "update.d/10-packages", "update.d/20-done", "needs_reboot.d/10-kernel",
        "post_update.d/10-start", "post_update.d/20-check")
SUM = re.compile(r" sum=([0-9a-f]{8})$")
PHASE = re.compile(r" phase=(\w+) ")
DONE = re.compile(r" script=\S*/lib/(\S+) boot=([^/ ]+)")


def judge(outcome):
    """What is wrong."""
    yield from outcome.faults
    yield from states(outcome)
    spans = list(work(outcome))
    yield from (span for span in spans if isinstance(span, str))
    spans = [span for span in spans if not isinstance(span, str)]
    yield from every_script(outcome, spans)
    yield from one_at_a_time(spans)
    yield from not_again(outcome)
    yield from locked(outcome, spans)
    yield from rebooted(outcome)
    yield from (f"{name} is left behind" for name in outcome.leftovers)


def states(outcome):
    """The state file is one whole phase name, or is not there."""
    for state in outcome.states:
        # One that is empty was so before, and stays until the next phase.
        if state not in STATES and not (state == "" and outcome.scene.name == "torn"):
            yield f"the state file says {state!r}"


def work(outcome):
    """(script, begin, end, whether it came to its end) of everything that ran."""
    open_ones = {}
    for line in outcome.lines:
        key = (line.script, line.pid, line.boot)
        if line.word == "begin":
            open_ones[key] = line
        elif key in open_ones:
            yield line.script, open_ones.pop(key).at, line.at, True
        else:
            yield f"{line.script} ended and never began"
    for line in open_ones.values():
        cut = min((cut for cut in outcome.cuts if cut > line.at), default=None)
        if cut is None:
            yield f"{line.script} began and never ended"
        else:
            yield line.script, line.at, cut, False


def every_script(outcome, spans):
    """No script is lost."""
    ran = {script for script, _, _, whole in spans if whole}
    # A boot that comes when the order is recorded is the one that was ordered.
    ordered = outcome.scene.kernel and not (outcome.booted and " ordered=" in outcome.record)
    for script in WORK + ("reboot.d/10-now",) * ordered:
        if script not in ran:
            yield f"{script} never ran to its end"


def one_at_a_time(spans):
    """Never two scripts at once."""
    spans = sorted(spans, key=lambda span: span[1])
    for (first, _, end, _), (second, begin, _, _) in zip(spans, spans[1:]):
        if begin < end:
            yield f"{second} began while {first} was at work"


def not_again(outcome):
    """A script that is recorded as done does not run again in that phase: never in update, and else not before a boot."""
    done = recorded(outcome)
    for line in outcome.lines[outcome.killed:]:
        boot = done.get(line.script)
        if line.word == "begin" and boot and (line.phase == "update" or line.boot == boot):
            yield f"{line.script} was recorded as done and ran again"


def recorded(outcome):
    """(script: boot) of what the record said at the kill, of the run that goes on; whoever goes back to an earlier phase begins anew."""
    done, at = {}, 0
    lines = [line for line in outcome.record.splitlines() if is_sound(line)]
    if any(" ended=" in line for line in lines):
        return done
    for words in [*lines, f" phase={(outcome.state or '').strip() or 'needs_update'} "]:
        phase, script = PHASE.search(words), DONE.search(words)
        if phase:
            done = {} if PHASES.index(phase[1]) < at else done
            at = PHASES.index(phase[1])
        if script:
            done[script[1]] = script[2]
    return done


def is_sound(line):
    """The record has the right sum."""
    found = SUM.search(line)
    return bool(found) and int(found[1], 16) == zlib.crc32(line[:found.start()].encode())


def locked(outcome, spans):
    """The lock is held from before the first change until after the last, without a gap, and given back once."""
    holds, since = [], None
    for asked in sorted(outcome.asked, key=lambda asked: asked.sent):
        if asked.takes and since is None:
            since = asked.answered
        elif asked.gives and since is None:
            yield "the lock was given back twice"
        elif asked.gives:
            holds.append((since, asked.sent))
            since = None
    if since is not None or outcome.holders:
        yield f"the lock is held at the end by {outcome.holders}"
    for script, begin, end, _ in spans:
        if script.partition(".d/")[0] in UNDER_LOCK and not any(take <= begin and end <= give for take, give in holds):
            yield f"{script} ran without the lock"
    # Before the first change a lock that may be held is given back, and asked for again.
    takes = outcome.scene.takes + (outcome.state in (None, "lock_get\n"))
    if not 1 <= len(holds) <= takes:
        yield f"the lock was taken {len(holds)} times"
    given = outcome.events.count("released") + outcome.events.count("forced")
    if outcome.events.count("granted") != len(holds) or given != len(holds):
        yield f"the service's history is {outcome.events}, and {len(holds)} times the lock was held"


def rebooted(outcome):
    """The host is told once a boot, and what comes behind the reboot comes in another boot."""
    ordered = [line.boot for line in outcome.lines if line.script == "reboot.d/10-now" and line.word == "end" and line.rest == "0"]
    if len(set(ordered)) != len(ordered):
        yield "the host was told to reboot twice in one boot"
    for line in outcome.lines:
        if line.phase == "post_update" and outcome.scene.kernel and line.boot in ordered:
            yield f"{line.script} ran before the reboot"
