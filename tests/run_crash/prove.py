"""Proof that the judge can find fault: a sound outcome is damaged in each way in which a kill might damage it."""

import copy
from dataclasses import replace

from . import judge, point, scenes

POINT = point.Point("ours", "down", "driver", "update.d/10-packages")


def last(outcome, script, word="begin"):
    """Where the script's last such line is."""
    return max(number for number, line in enumerate(outcome.lines) if (line.script, line.word) == (script, word))


def without(outcome, script):
    """The script never ran."""
    outcome.lines = [line for line in outcome.lines if line.script != script]


def again(outcome, script):
    """The script ran once more, after the kill."""
    place = last(outcome, script, "end")
    behind = max(place + 1, outcome.killed)
    outcome.lines[behind:behind] = [replace(line, pid=line.pid + 10_000, at=outcome.lines[place].at + step)
                                          for step, line in enumerate(outcome.lines[place - 1:place + 1], 1)]


def beside(outcome):
    """A second update script begins while the first is at work."""
    place = last(outcome, "update.d/20-done")
    before = outcome.lines[last(outcome, "update.d/10-packages", "end")]
    outcome.lines[place] = replace(outcome.lines[place], at=before.at - 1)


def early(outcome):
    """The lock is given back before the last script has ended."""
    place = next(number for number, asked in enumerate(outcome.asked) if asked.gives)
    end = outcome.lines[last(outcome, "post_update.d/20-check", "end")].at
    outcome.asked[place] = replace(outcome.asked[place], sent=end - 1)


def late(outcome):
    """The lock is granted after the first script has begun."""
    place = next(number for number, asked in enumerate(outcome.asked) if asked.takes)
    begin = outcome.lines[last(outcome, "pre_update.d/10-drain")].at
    outcome.asked[place] = replace(outcome.asked[place], answered=begin + 1)


def gap(outcome):
    """The lock is given back and taken again in the middle of the run."""
    give = next(asked for asked in outcome.asked if asked.gives)
    take = next(asked for asked in outcome.asked if asked.takes)
    at = outcome.lines[last(outcome, "update.d/20-done", "end")].at
    outcome.asked += [replace(give, sent=at + 1, answered=at + 2), replace(take, sent=at + 3, answered=at + 4)]
    outcome.events += ["granted", "released"]


def same_boot(outcome):
    """What is behind the reboot ran before it."""
    boot = outcome.lines[last(outcome, "reboot.d/10-now")].boot
    outcome.lines = [replace(line, boot=boot) if line.phase == "post_update" else line for line in outcome.lines]


DAMAGES = {
    "a script lost": lambda outcome: without(outcome, "update.d/20-done"),
    "a script of post_update lost": lambda outcome: without(outcome, "post_update.d/20-check"),
    "a script that was done runs again": lambda outcome: again(outcome, "pre_update.d/10-drain"),
    "two at once": beside,
    "a script that nobody ended": lambda outcome: outcome.lines.pop(last(outcome, "needs_reboot.d/10-kernel", "end")),
    "freed early": early,
    "taken late": late,
    "a gap": gap,
    "never freed": lambda outcome: outcome.asked.remove(next(asked for asked in outcome.asked if asked.gives)),
    "leaked": lambda outcome: outcome.holders.append("h"),
    "freed twice": lambda outcome: outcome.asked.append(next(asked for asked in outcome.asked if asked.gives)),
    "half a state": lambda outcome: outcome.states.append("upd"),
    "a state without its end": lambda outcome: outcome.states.append("update"),
    "an empty state": lambda outcome: outcome.states.append(""),
    "told to reboot twice": lambda outcome: again(outcome, "reboot.d/10-now"),
    "no reboot in between": same_boot,
    "a draft left": lambda outcome: outcome.leftovers.append("lib/.state.draft"),
    "never over": lambda outcome: outcome.faults.append("not over"),
}


def prove(host):
    """How many damages there are, and those that the judge has not seen; a sound outcome that it finds fault with is one of them."""
    outcome = point.run(host, scenes.SCENES[POINT.scene], POINT, "ticks")
    sound = list(judge.judge(outcome))
    missed = [f"a sound outcome: {sound}"] if sound else []
    for name, damage in DAMAGES.items():
        damaged = copy.deepcopy(outcome)
        damage(damaged)
        if not list(judge.judge(damaged)):
            missed.append(name)
    return len(DAMAGES), missed
