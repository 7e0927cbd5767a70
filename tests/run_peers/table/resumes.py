"""A run that is picked up in each state, by cron and at boot, and state files that say nothing."""

from ..scenario import Case, Differs, Script, run
from ..steps import forced, given_when_waited_for, killed, let_go, nothing, ours_is_taken, state, taken_over, terminated
from .words import line, notified, since, told, up_to

HELD = ("pre_update", "update", "needs_reboot", "post_update")
# A moment, so that what was said is in the log.
WORK = {"update": (Script(does="/bin/sleep 0.2; at work\nlate"),)}
AFTERWARDS = line("needs_reboot/10", notified("post_update"), told("main", held=False, running=False))
SLOW = {"update": (Script(does="if first; then /bin/sleep 0.2; at work; late; fi"),)}


def at_boot(where):
    """Killed in this state; the host comes up again."""
    return Case(f"{where}-resumed-at-boot", steps=(ours_is_taken, state(f"{where}\n"), run("--after_reboot")), differs={
        "ran": Differs("W13", theirs="", ours=since(where)),
        "state": Differs("W13", theirs=where, ours="-"),
        "lock": Differs("W13", theirs="ours", ours="free"),
        "history": Differs("W13", theirs="granted", ours="granted released")})


def garbage(name, text, gone="-"):
    """A state file that says nothing: the original throws it away and forgets the lock; ours stops and says so."""
    return Case(name, steps=(ours_is_taken, state(text), run()), says="found garbage in status file",
                differs={"state": Differs("W11", theirs=gone, ours=text.removesuffix("\n"))})


CASES = (
    Case("needs_update-resumed", steps=(state("needs_update\n"), run())),
    Case("lock_get-resumed", steps=(state("lock_get\n"), run()),
         differs={"ran": Differs("W20", theirs=since("pre_update"), ours=since("needs_update"))}),
    Case("lock_get-resumed-and-no-updates-any-more", steps=(state("lock_get\n"), run()), scripts={"needs_update": (Script(),)}, differs={
        "ran": Differs("W20", theirs=since("pre_update"), ours="needs_update/10"),
        "history": Differs("W20", theirs="granted released", ours="")}),
    *(Case(f"{where}-resumed", steps=(ours_is_taken, state(f"{where}\n"), run())) for where in HELD),
    # 0.4.3 does not know whether it has the lock, and says no.
    Case("update-resumed-and-notified", kinds="MO", steps=(ours_is_taken, state("update\n"), run()), notify=True, differs={"ran": {"O": Differs(
        "W3", theirs=line(notified("update", held=False), AFTERWARDS), ours=line(notified("update"), AFTERWARDS))}}),
    Case("reboot-resumed", steps=(ours_is_taken, state("reboot\n"), run()), notify=True),
    Case("lock_release-resumed", steps=(ours_is_taken, state("lock_release\n"), run()), notify=True),
    *(at_boot(where) for where in HELD[:3]),
    Case("post_update-resumed-at-boot", steps=(ours_is_taken, state("post_update\n"), run("--after_reboot"))),
    Case("lock_release-resumed-at-boot", steps=(ours_is_taken, state("lock_release\n"), run("--after_reboot")), differs={
        "state": Differs("W13", theirs="lock_release", ours="-"), "lock": Differs("W13", theirs="ours", ours="free"),
        "history": Differs("W13", theirs="granted", ours="granted released")}),
    Case("lock_get-at-boot", steps=(state("lock_get\n"), run("--after_reboot"))),
    Case("resumed-without-the-lock", steps=(state("update\n"), run()), differs={
        "codes": {"O": Differs("W3 W19", theirs="1", ours="0")},
        "state": {"O": Differs("W3 W19", theirs="lock_release", ours="-")},
        "history": Differs("W3", theirs="", ours="granted released")}),
    Case("resumed-and-another-has-the-lock", kinds="MO", steps=(ours_is_taken, taken_over, state("update\n"), run()), differs={
        "codes": {"M": Differs("W3", theirs="0", ours="1")},
        "ran": Differs("W3", theirs=since("update"), ours=""),
        "state": {"M": Differs("W3", theirs="-", ours="update"), "O": Differs("W3 W19", theirs="lock_release", ours="update")}}),
    # Foreman's client waits for a busy lock without end, and so does ours, here as well.
    Case("resumed-and-another-has-the-lock-for-a-while", waits=True, kinds="F", differs={
        "codes": Differs("W3", theirs="1", ours="0"), "state": Differs("W3", theirs="lock_release", ours="-"),
        "lock": Differs("W3", theirs="ops", ours="free"),
        "history": Differs("W3", theirs="granted forced granted", ours="granted forced granted released granted released")},
         steps=(ours_is_taken, taken_over, state("update\n"), run(meanwhile={"busy": given_when_waited_for}))),
    Case("released-by-another-hand", steps=(ours_is_taken, state("lock_release\n"), forced, run()), notify=True, differs={
        "codes": {"O": Differs("W19", theirs="1", ours="0")},
        "ran": {"O": Differs("W19", theirs="", ours="ext_notify/10(LOCK,False,False,main,none,0)")},
        "state": {"O": Differs("W19", theirs="lock_release", ours="-")}}),
    garbage("garbage", "upgrade\n"), garbage("garbage-with-a-blank", " update\n"), garbage("garbage-in-capitals", "UPDATE\n"),
    garbage("empty-state", ""), garbage("empty-first-line", "\nupdate\n"),
    # Python reads text: a carriage return at the end of the line is a line's end to it.
    Case("state-with-carriage-return", steps=(ours_is_taken, state("update\r\n"), run())),
    Case("state-with-a-second-line", steps=(ours_is_taken, state("update\nlock_get\n"), run())),
    Case("state-without-line-end", steps=(ours_is_taken, state("update"), run())),
    Case("terminated", scripts=WORK, steps=(run(meanwhile={"work": terminated}),), differs={
        "ran": Differs("W10", theirs=line(up_to("update"), "update/10:late"), ours=up_to("update"))}),
    # Nothing is begun beside a script that is still at work.
    Case("killed-and-started-again", scripts=SLOW, steps=(run(meanwhile={"work": killed}), run()), differs={
        "codes": Differs("W10", theirs="137 0", ours="137 1"),
        "ran": Differs("W10", theirs=line(up_to("update"), since("update"), "update/10:late"), ours=line(up_to("update"), "update/10:late")),
        "state": Differs("W10", theirs="-", ours="update"), "lock": Differs("W10", theirs="free", ours="ours"),
        "history": Differs("W10", theirs="granted released", ours="granted")}),
    Case("killed-and-started-again-when-all-is-quiet", scripts=SLOW, steps=(run(meanwhile={"work": killed}), let_go, run())),
    Case("goes-on-when-it-is-let", scripts=WORK, steps=(run(meanwhile={"work": nothing}),)),
)
