"""Words that many lines of the table use."""

from ..scenario import Script

# What a whole run without a reboot runs, up to each phase and from each phase on.
PHASES = ("needs_update", "pre_update", "update", "needs_reboot", "post_update")
WHOLE = " ".join(f"{phase}/10" for phase in PHASES)
REBOOT = (Script(rc=1),)
NO = (Script(rc=0),)
TWO = (Script("10"), Script("20"))


def up_to(phase):
    """What has run when a phase has."""
    return " ".join(f"{name}/10" for name in PHASES[:PHASES.index(phase) + 1])


def since(phase):
    """What runs from a phase on."""
    return " ".join(f"{name}/10" for name in PHASES[PHASES.index(phase):])


def failed(phase, script, code, held=True):
    """The call of on_failure.d."""
    return f"on_failure/10(LOCK,{held},True,{phase},{script},{code})"


def told(phase, script="none", code=0, held=True, running=True):
    """The call of ext_notify.d."""
    return f"ext_notify/10(LOCK,{held},{running},{phase},{script},{code})"


def notified(phase, code=0, held=True):
    """A phase of one script, and the call of ext_notify.d for it."""
    return f"{phase}/10 {told(phase, f'{phase}/10', code, held)}"


def line(*words):
    """One line of all."""
    return " ".join(filter(None, words))
