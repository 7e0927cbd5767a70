"""Scripts that fail, in every phase, and what the next run does."""

from ..scenario import Case, Differs, Script, run
from ..steps import mended, rebooted
from .words import REBOOT, failed, line, since, up_to

FIRST = (Script(rc=3), Script("20"))
SECOND = (Script(), Script("20", rc=42))
# What runs again after the second script of a phase has failed and was mended.
AGAIN = {"pre_update": "update", "update": "needs_reboot", "post_update": None}
KILLED = (Script(does="kill -9 $$"),)


def fails(phase, notify=True):
    """A phase fails at its first script, and at its second."""
    return (Case(f"{phase}-fails-at-once", kinds="MO2F", scripts={phase: FIRST}, notify=notify),
            Case(f"{phase}-fails-in-the-middle", scripts={phase: SECOND}, notify=notify),
            Case(f"{phase}-fails-and-again", scripts={phase: FIRST}, steps=(run(), run())))


def goes_on(phase):
    """It failed at its second script, which was mended; the first one has done its work already."""
    before = line(up_to(phase), f"{phase}/20")
    rest = since(AGAIN[phase]) if AGAIN[phase] else ""
    tail = f"{phase}/20 {rest}".strip()
    told = failed(phase, f"{phase}/20", 42)
    return Case(f"{phase}-goes-on-when-mended", scripts={phase: SECOND}, steps=(run(), mended(phase), run()), differs={"ran": {
        "MO": Differs("W28", theirs=line(before, told, f"{phase}/10", tail), ours=line(before, told, tail)),
        "F": Differs("W28", theirs=line(before, f"{phase}/10", tail), ours=line(before, tail))}})


CASES = (
    *fails("pre_update"), *fails("update"), *fails("post_update"),
    goes_on("pre_update"), goes_on("update"), goes_on("post_update"),
    Case("post_update-fails-after-a-reboot", scripts={"needs_reboot": REBOOT, "post_update": FIRST},
         steps=(run(), rebooted, run("--after_reboot")), notify=True),
    Case("reboot-fails", scripts={"needs_reboot": REBOOT, "reboot": (Script(rc=7),)}, notify=True),
    Case("reboot-fails-in-the-middle", kinds="M", scripts={"needs_reboot": REBOOT, "reboot": SECOND}, notify=True),
    Case("two-that-are-told-of-a-failure", kinds="MO", scripts={"update": FIRST, "on_failure": (Script(rc=9), Script("20"))}),
    Case("nobody-is-told-of-a-failure", scripts={"update": FIRST, "on_failure": ()}),
    Case("notified-but-nobody-listens", kinds="MO", scripts={"ext_notify": ()}),
    # 126 and 127 are what a shell says of a command that is not there; the originals take every non-zero for yes.
    Case("needs_update-says-127", scripts={"needs_update": (Script(rc=127),)}),
    Case("needs_reboot-says-126", scripts={"needs_reboot": (Script(rc=126),)}),
    *(Case(f"{phase}-killed", scripts={phase: KILLED}, notify=True) for phase in ("pre_update", "update", "post_update")),
    Case("needs_update-killed", scripts={"needs_update": KILLED}, differs={
        "codes": Differs("W27", theirs="0", ours="1"),
        "ran": {"MO": Differs("W27", theirs=line(up_to("post_update")),
                              ours=line("needs_update/10", failed("needs_update", "needs_update/10", -9, False))),
                "F": Differs("W27", theirs=line(up_to("post_update")), ours="needs_update/10")},
        "history": Differs("W27", theirs="granted released", ours="")}),
    Case("needs_reboot-killed", scripts={"needs_reboot": KILLED}, differs={
        "codes": Differs("W27", theirs="0", ours="1"),
        "ran": {"MO": Differs("W27", theirs=line(up_to("needs_reboot"), "reboot/10"),
                              ours=line(up_to("needs_reboot"), failed("needs_reboot", "needs_reboot/10", -9))),
                "F": Differs("W27", theirs=line(up_to("needs_reboot"), "reboot/10"), ours=up_to("needs_reboot"))},
        "state": Differs("W27", theirs="post_update", ours="needs_reboot")}),
    Case("the-reboot-never-comes", scripts={"needs_reboot": REBOOT}, steps=(run(), run("--after_reboot")), differs={
        "codes": Differs("W14", theirs="0 0", ours="0 1"),
        "ran": Differs("W14", theirs=line(up_to("needs_reboot"), "reboot/10 post_update/10"), ours=line(up_to("needs_reboot"), "reboot/10")),
        "state": Differs("W14", theirs="-", ours="post_update"),
        "lock": Differs("W14", theirs="free", ours="ours"),
        "history": Differs("W14", theirs="granted released", ours="granted")}),
    Case("the-reboot-fails-and-the-next-run-comes", scripts={"needs_reboot": REBOOT, "reboot": (Script(rc=7),)}, steps=(run(), run()), differs={
        "codes": {"M": Differs("W14", theirs="1 0", ours="1 1"), "OF": Differs("W14", theirs="7 0", ours="7 1")},
        "ran": {"M": Differs("W14", theirs=line(up_to("needs_reboot"), "reboot/10", failed("reboot", "reboot/10", 7), "post_update/10"),
                             ours=line(up_to("needs_reboot"), "reboot/10", failed("reboot", "reboot/10", 7))),
                "OF": Differs("W14", theirs=line(up_to("needs_reboot"), "reboot/10 post_update/10"),
                              ours=line(up_to("needs_reboot"), "reboot/10"))},
        "state": Differs("W14", theirs="-", ours="post_update"),
        "lock": Differs("W14", theirs="free", ours="ours"),
        "history": Differs("W14", theirs="granted released", ours="granted")}),
)
