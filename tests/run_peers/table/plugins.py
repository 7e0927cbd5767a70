"""Plugins of 1.0.5, and the programs that take their place: what they say at the beginning or the end of pre_update and post_update."""

from ..scenario import Case, Differs, Script, run
from .words import WHOLE, failed, line

# Where plugins/ is, which holds one that says what its configuration has.
PLACE = run(env={"PYTHONPATH": "{plugins}"})


def plugin(name, moment, said, theirs, ours, rc=0, enabled="true", differs=None):
    """What runs with the plugin, and with a program `10` of the moment that exits with this code."""
    return Case(f"plugin-{name}", kinds="M", steps=(PLACE,), scripts={f"phase_{moment}_hook": (Script(rc=rc),)} if ours != WHOLE else {},
                dotenv={"plugin_asked_enabled": enabled, f"plugin_asked_config_{moment}": said},
                differs={"ran": Differs("W30", theirs=theirs, ours=ours)} | (differs or {}))


def stopped(moment, before):
    """The program says no at the beginning or the end of pre_update."""
    script = f"phase_{moment}_hook/10"
    return line(before, f"{script}(pre_update)", failed("pre_update", script, 1))


# The original takes an error for a yes.
GOES_ON = {"codes": Differs("W30", theirs="0", ours="1"), "state": Differs("W30", theirs="-", ours="pre_update"),
           "lock": Differs("W30", theirs="free", ours="ours"), "history": Differs("W30", theirs="granted released", ours="granted")}
# It asks one that is switched off.
OFF = {"codes": Differs("W30", theirs="1", ours="0"), "state": Differs("W30", theirs="pre_update", ours="-"),
       "lock": Differs("W30", theirs="ours", ours="free"), "history": Differs("W30", theirs="granted", ours="granted released")}
ASKED = "needs_update/10"
DONE = "needs_update/10 pre_update/10"

CASES = (
    plugin("agrees-before", "pre", "yes", WHOLE, line(
        ASKED, "phase_pre_hook/10(pre_update)", "pre_update/10 update/10 needs_reboot/10", "phase_pre_hook/10(post_update)", "post_update/10")),
    plugin("agrees-behind", "post", "yes", WHOLE, line(
        DONE, "phase_post_hook/10(pre_update)", "update/10 needs_reboot/10 post_update/10", "phase_post_hook/10(post_update)")),
    plugin("says-no-before", "pre", "no", ASKED, stopped("pre", ASKED), rc=1),
    plugin("says-no-behind", "post", "no", DONE, stopped("post", DONE), rc=1),
    plugin("breaks-before", "pre", "error", WHOLE, stopped("pre", ASKED), rc=1, differs=GOES_ON),
    plugin("breaks-behind", "post", "error", WHOLE, stopped("post", DONE), rc=1, differs=GOES_ON),
    plugin("switched-off", "pre", "no", ASKED, WHOLE, enabled="false", differs=OFF),
)
