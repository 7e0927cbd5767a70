"""Runs in which nothing goes wrong."""

from ..scenario import Case, Differs, Script, run
from ..steps import rebooted, started_twice
from .words import NO, REBOOT, TWO, WHOLE, failed, line, up_to

AFTER = (run(), rebooted, run("--after_reboot"))
NAMES = tuple(Script(name) for name in ("Z-last-capital", "10-ten", "9-nine", "a-small", "é-far", "05-five", "_under", "B"))

CASES = (
    Case("whole", kinds="MO2F"),
    Case("whole-notified", kinds="MO2", notify=True),
    Case("reboot", kinds="MO2F", scripts={"needs_reboot": REBOOT}, steps=AFTER),
    Case("reboot-notified", kinds="MO2", scripts={"needs_reboot": REBOOT}, steps=AFTER, notify=True),
    Case("reboot-then-by-cron", scripts={"needs_reboot": REBOOT}, steps=(run(), rebooted, run())),
    Case("reboot-by-default", scripts={"needs_reboot": ()}, steps=AFTER),
    Case("reboot-asked-of-two", scripts={"needs_reboot": (Script(), Script("20", rc=2))}, steps=AFTER, notify=True),
    Case("reboot-said-by-the-first", scripts={"needs_reboot": (Script(rc=3), Script("20"))}, steps=AFTER, notify=True),
    Case("reboot-not-of-two", scripts={"needs_reboot": TWO}, notify=True),
    Case("reboot-by-two-scripts", kinds="M", scripts={"needs_reboot": REBOOT, "reboot": TWO}, steps=AFTER, notify=True),
    # Nothing would reboot the host, and the original takes that for a reboot.
    Case("reboot-without-scripts", kinds="M", scripts={"needs_reboot": REBOOT, "reboot": ()}, steps=AFTER, differs={
        "codes": Differs("W14", theirs="0 0", ours="1 0"),
        "ran": Differs("W14 W29", theirs=WHOLE, ours=line(up_to("needs_reboot"), failed("reboot", "none", 1))),
        "state": Differs("W14", theirs="-", ours="reboot"), "lock": Differs("W14", theirs="free", ours="ours"),
        "history": Differs("W14", theirs="granted released", ours="granted")}),
    Case("after-reboot-not-ours", steps=(run("--after_reboot"),)),
    Case("no-updates", scripts={"needs_update": NO}),
    Case("no-updates-notified", kinds="MO", scripts={"needs_update": NO}, notify=True),
    Case("no-updates-of-three", scripts={"needs_update": (*TWO, Script("30"))}, notify=True),
    Case("nobody-asks", scripts={"needs_update": ()}, notify=True),
    Case("first-says-yes", scripts={"needs_update": (Script(rc=1), Script("20"), Script("30", rc=4))}, notify=True),
    Case("second-says-yes", scripts={"needs_update": (Script(), Script("20", rc=100), Script("30"))}, notify=True),
    Case("nothing-to-do-in-any-phase", scripts=dict.fromkeys(("pre_update", "update", "post_update"), ())),
    Case("two-of-each", scripts={"pre_update": TWO, "update": TWO, "post_update": TWO}, notify=True),
    Case("two-that-notify", kinds="MO", scripts={"ext_notify": (Script(rc=1), Script("20"))}),
    Case("order-of-names", scripts={"update": NAMES}),
    Case("order-of-names-of-the-file-system", kinds="F", scripts={"update": NAMES}, unsorted=True,
         differs={"ran": Differs("W32", theirs="unsorted", ours="sorted")}),
    Case("twice", steps=(run(), run())),
    Case("two-at-once", steps=(run(meanwhile={"work": started_twice}),), scripts={"update": (Script(does="at work"),)},
         says="Already running according to"),
    Case("abbreviated-options", steps=(run("--after"),)),
    Case("asked-for-help", steps=(run("--help"),)),
    Case("option-unknown", steps=(run("--force"),)),
    Case("word-too-many", steps=(run("now"),)),
    Case("configuration-where-it-is-looked-for", default_path=True),
)
