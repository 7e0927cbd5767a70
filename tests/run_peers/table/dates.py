"""Date constraints and the random sleep. Foreman's client has neither."""

import datetime

from ..scenario import Case, Differs, run
from ..steps import ours_is_taken, state, today
from .words import WHOLE, since

# 0.4.3 knows no fifth one; on such a day the constraint of today is none for it.
TODAY = "MO" if datetime.date.today().day < 29 else "M"
ABBREVIATION = "must match NUM:DAY_ABBR"
NUMBER = "number must be between 1 and [45]"
DAY = "day must be one of"


def on(constraint, name, kinds="MO", **more):
    """A run with a constraint."""
    return Case(f"date-{name}", kinds=kinds, steps=(run("--date_constraint", constraint),), **more)


def resumed(name, where, *args):
    """It was killed here; the next run comes on another day, which must not matter."""
    return Case(f"date-other-{name}", kinds="MO", steps=(ours_is_taken, state(f"{where}\n"), run(*args, "--date_constraint", today(days=1))),
                differs={"codes": {"O": Differs("W12", theirs="1", ours="0")},
                         "ran": Differs("W12", theirs="", ours=since(where)),
                         "state": Differs("W12", theirs=where, ours="-"),
                         "lock": Differs("W12", theirs="ours", ours="free"),
                         "history": Differs("W12", theirs="granted", ours="granted released")})


def offered():
    """What ours has for every configuration."""
    why = "what the updater never had and `patch-run` has for this configuration too"
    return {"codes": Differs(why, theirs="2", ours="0"), "ran": Differs(why, theirs="", ours=WHOLE),
            "history": Differs(why, theirs="", ours="granted released")}


CASES = (
    on(today(), "today", kinds=TODAY),
    on(today(nth=1), "another-week", says="no date constraint matched"),
    on(today(days=1), "another-day", says="no date constraint matched"),
    on(lambda: f"{today(days=1)()},{today()()}", "one-of-two", kinds=TODAY),
    on(lambda: f"{today(days=1)()},{today(days=2)()}", "none-of-two"),
    on(lambda: f" +{today()()}", "python-number", kinds=TODAY),
    on("3", "one-word", says=ABBREVIATION), on("1:Mon,", "comma-at-the-end", says=ABBREVIATION), on("Fri:3:x", "three-words", says=NUMBER),
    on("x:Mon", "no-number", says=NUMBER), on("0:Mon", "zeroth", says=NUMBER), on("6:Mon", "sixth", says=NUMBER),
    Case("date-negative", kinds="MO", steps=(run("--date_constraint=-1:Mon"),), says=NUMBER),
    Case("date-that-looks-like-an-option", kinds="MO", steps=(run("--date_constraint", "-1:Mon"),), says="expected one argument"),
    on("3:Friday", "whole-name", says=DAY), on("3:fri", "small-letters", says=DAY), on("3: Fri", "blank", says=DAY), on("3:", "no-day"),
    on("", "empty"),
    resumed("update-goes-on", "update"), resumed("boot-goes-on", "post_update", "--after_reboot"),
    Case("date-first-then-the-lock-file", kinds="MO", steps=(run("--date_constraint", "1:nix", "--random_sleep", "x"),)),
    on(lambda: f"{today()()},last:Mon", "last-monday-too", kinds=TODAY, says=NUMBER, differs={
        "codes": Differs("W44", theirs="1", ours="0"), "ran": Differs("W44", theirs="", ours=WHOLE),
        "history": Differs("W44", theirs="", ours="granted released")}),
    Case("sleep-no-number", kinds="MO", steps=(run("--random_sleep", "abc"),), says="invalid int value"),
    Case("sleep-no-whole-number", kinds="MO", steps=(run("--random_sleep", "1.5"),), says="invalid int value"),
    Case("sleep-negative", kinds="MO", steps=(run("--random_sleep", "-1"),), says="ValueError",
         differs={"codes": Differs("W43", theirs="1", ours="2")}),
    Case("sleep-none", kinds="MO", steps=(run("--random_sleep", "0"),)),
    Case("sleep-a-second", kinds="MO", steps=(run("--random_sleep=1"),)),
    Case("sleep-of-foreman", kinds="F", steps=(run("--random_sleep", "1"),), says="unrecognized arguments", differs=offered()),
    Case("date-of-foreman", kinds="F", steps=(run("--date_constraint", today()),), says="unrecognized arguments",
         differs=offered()),
)
