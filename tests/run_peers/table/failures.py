"""Scripts that fail, in every phase, and what the next run does."""

from ..scenario import Case, Differs, Script, run
from ..steps import mended, rebooted
from .words import REBOOT, WHOLE, failed, line, since, up_to

FIRST = (Script(rc=3), Script("20"))
SECOND = (Script(), Script("20", rc=42))
# What runs again after the second script of a phase has failed and was mended.
AGAIN = {"pre_update": "update", "update": "needs_reboot", "post_update": None}
KILLED = (Script(does="kill -9 $$"),)


REBOOTED = line(up_to("needs_reboot"), "reboot/10")
REBOOT_FAILS = {"needs_reboot": REBOOT, "reboot": (Script(rc=7),)}
NOT_REBOOTED = failed("reboot", "reboot/10", 7)
# The reboot is still to be done; the original goes on as if it had been.
STAYS = {"state": Differs("W14", theirs="post_update", ours="reboot")}


def fails(phase, notify=True):
    """A phase fails at its first script, and at its second."""
    return (Case(f"{phase}-fails-at-once", kinds="MO2F", scripts={phase: FIRST}, notify=notify),
            Case(f"{phase}-fails-in-the-middle", scripts={phase: SECOND}, notify=notify),
            again(phase))


def again(phase):
    """It fails, and fails at the next run. 0.4.3 has forgotten by then that it holds the lock, until post_update assumes it."""
    before = line(up_to(phase), failed(phase, f"{phase}/10", 3), f"{phase}/10")
    forgets = {"ran": {"O": Differs("W3", theirs=line(before, failed(phase, f"{phase}/10", 3, False)),
                                    ours=line(before, failed(phase, f"{phase}/10", 3)))}} if phase != "post_update" else {}
    return Case(f"{phase}-fails-and-again", scripts={phase: FIRST}, steps=(run(), run()), differs=forgets)


def goes_on(phase):
    """It failed at its second script, which was mended; the first one has done its work already."""
    before = line(up_to(phase), f"{phase}/20")
    rest = since(AGAIN[phase]) if AGAIN[phase] else ""
    tail = f"{phase}/20 {rest}".strip()
    told = failed(phase, f"{phase}/20", 42)
    return Case(f"{phase}-goes-on-when-mended", scripts={phase: SECOND}, steps=(run(), mended(phase), run()), differs={"ran": {
        "MO": Differs("W28", theirs=line(before, told, f"{phase}/10", tail), ours=line(before, told, tail)),
        "F": Differs("W28", theirs=line(before, f"{phase}/10", tail), ours=line(before, tail))}})


def no_answer(name, phase, script, code):
    """A script that is asked has no answer: to the originals that is a yes."""
    asks_first = phase == "needs_update"
    yes = WHOLE if asks_first else REBOOTED
    differs = {
        "codes": Differs("W27", theirs="0", ours="1"),
        "ran": {"MO": Differs("W27", theirs=yes, ours=line(up_to(phase), failed(phase, f"{phase}/10", code, not asks_first))),
                "F": Differs("W27", theirs=yes, ours=up_to(phase))}}
    differs |= {"history": Differs("W27", theirs="granted released", ours="")} if asks_first else \
        {"state": Differs("W27", theirs="post_update", ours=phase)}
    return Case(name, scripts={phase: (script,)}, differs=differs)


CASES = (
    *fails("pre_update"), *fails("update"), *fails("post_update"),
    goes_on("pre_update"), goes_on("update"), goes_on("post_update"),
    Case("post_update-fails-after-a-reboot", scripts={"needs_reboot": REBOOT, "post_update": FIRST},
         steps=(run(), rebooted, run("--after_reboot")), notify=True),
    Case("reboot-fails", kinds="M", scripts=REBOOT_FAILS, notify=True, differs=STAYS),
    Case("reboot-fails", kinds="OF", scripts=REBOOT_FAILS, differs=STAYS | {
        "ran": {"O": Differs("W29", theirs=REBOOTED, ours=line(REBOOTED, failed("reboot", "none", 7)))}}),
    Case("reboot-fails-in-the-middle", kinds="M", scripts={"needs_reboot": REBOOT, "reboot": SECOND}, notify=True, differs=STAYS),
    Case("two-that-are-told-of-a-failure", kinds="MO", scripts={"update": FIRST, "on_failure": (Script(rc=9), Script("20"))}),
    Case("nobody-is-told-of-a-failure", scripts={"update": FIRST, "on_failure": ()}),
    Case("notified-but-nobody-listens", kinds="MO", scripts={"ext_notify": ()}),
    # 126 and 127 are what a shell says of a command that is not there; the originals take every non-zero for yes.
    no_answer("needs_update-says-127", "needs_update", Script(rc=127), 127), no_answer("needs_update-killed", "needs_update", *KILLED, -9),
    no_answer("needs_reboot-says-126", "needs_reboot", Script(rc=126), 126), no_answer("needs_reboot-killed", "needs_reboot", *KILLED, -9),
    *(Case(f"{phase}-killed", scripts={phase: KILLED}, notify=True) for phase in ("pre_update", "update", "post_update")),
    # In the same boot nothing goes on; who starts it within a quarter of an hour is told nothing else than that it has not come yet.
    Case("the-reboot-never-comes", scripts={"needs_reboot": REBOOT}, steps=(run(), run("--after_reboot")), differs={
        "ran": Differs("W14", theirs=line(REBOOTED, "post_update/10"), ours=REBOOTED),
        "state": Differs("W14", theirs="-", ours="post_update"),
        "lock": Differs("W14", theirs="free", ours="ours"),
        "history": Differs("W14", theirs="granted released", ours="granted")}),
    Case("the-reboot-fails-and-the-next-run-comes", scripts=REBOOT_FAILS, steps=(run(), run()), differs={
        "codes": {"M": Differs("W14", theirs="1 0", ours="1 1"), "OF": Differs("W14", theirs="7 0", ours="7 7")},
        "ran": {"M": Differs("W14", theirs=line(REBOOTED, NOT_REBOOTED, "post_update/10"),
                             ours=line(REBOOTED, NOT_REBOOTED, "reboot/10", NOT_REBOOTED)),
                "O": Differs("W14 W29", theirs=line(REBOOTED, "post_update/10"), ours=line(
                    REBOOTED, failed("reboot", "none", 7), "reboot/10", failed("reboot", "none", 7))),
                "F": Differs("W14", theirs=line(REBOOTED, "post_update/10"), ours=line(REBOOTED, "reboot/10"))},
        "state": Differs("W14", theirs="-", ours="reboot"),
        "lock": Differs("W14", theirs="free", ours="ours"),
        "history": Differs("W14", theirs="granted released", ours="granted")}),
)
