"""The lock: busy, ours already, lost, a service that is down or talks nonsense."""

from ..scenario import Case, Differs, Script, run
from ..steps import (forced, given_when_waited_for, other_gives, other_takes, ours_is_taken, service_comes, service_comes_after_release,
                     service_comes_later, service_comes_when_asked, service_dies, service_restarts, state, taken_over)
from .words import WHOLE, failed, line, notified, since, told

ONCE = {"needs_update": (Script(does="first && exit 1"),)}
BRIEF = {"dotenv": {"main_wait": "true", "main_waitmax": "1"}, "ini": {"wait": "true", "wait_max": "1"}}
PATIENT = {"dotenv": {"main_wait": "true", "main_waitmax": "60"}, "ini": {"wait": "true", "wait_max": "300"}}
LOSES = {"update": (Script(does="at work"),)}
ENDS = {"post_update": (Script(does="at end"),)}
# The lock is this host's, in the words of all three protocols at once.
OURS = ('{"id": "x", "acquired_by": "modern1.lock.example", "acquired_since": "2026-01-01T00:00:00",'
        ' "data": {"id": "x", "acquired_by": "old1.lock.example"}, "enabled": true, "host": {"name": "foreman1", "self": true}}')
# Foreman's client ends at whatever is not 200 or 412; ours waits for the service as it waits for the lock, without end.
AGAIN = {"codes": Differs("W37", theirs="1", ours="0"), "ran": Differs("W37", theirs="needs_update/10", ours=WHOLE),
         "state": Differs("W37", theirs="lock_get", ours="-")}
# A failure that is none of a script's: the originals call nobody.
NOT_GRANTED = failed("lock_get", "none", 1, False)
NOT_RELEASED = failed("lock_release", "none", 1)
TO_THE_END = line(notified("needs_update", 1, False), told("main"), *(notified(phase) for phase in (
    "pre_update", "update", "needs_reboot", "post_update")))
RELEASED = told("main", held=False, running=False)


def says(status, body='{"detail": "no"}', times=1):
    """One answer, so often."""
    return [(status, body)] * times


def then_well(status, body):
    """What Foreman's client does with such an answer, which is followed by good ones."""
    return {"PUT": [*says(status, body), *says(200, OURS)], "GET": says(200, OURS), "DELETE": says(200, "{}")}


def called(before, call, *after):
    """on_failure.d is called."""
    return {"ran": Differs("W29", theirs=line(before, *after), ours=line(before, call, *after))}


CASES = (
    Case("busy", kinds="MO2", steps=(other_takes, run()), notify=True),
    Case("busy-then-free", kinds="MO2", scripts=ONCE, steps=(other_takes, run(), other_gives, run()), differs={
        "ran": Differs("W20", theirs=line("needs_update/10", since("pre_update")), ours="needs_update/10 needs_update/10"),
        "history": Differs("W20", theirs="granted released granted released", ours="granted released")}),
    Case("busy-until-the-wait-is-over", waits=True, kinds="MO", steps=(other_takes, run(hurry=True)), **BRIEF),
    Case("busy-for-so-many-tries", kinds="M", steps=(other_takes, run()), dotenv={"main_wait": "1", "main_acquireattempts": "3"},
         says="could not acquire lock after 3 attempts"),
    Case("busy-for-no-time-at-all", kinds="M", steps=(other_takes, run()), dotenv={"main_wait": "1", "main_waitmax": "0"}),
    Case("waited-for", waits=True, steps=(other_takes, run(hurry=True, meanwhile={"busy": given_when_waited_for})), notify=True, **PATIENT),
    # What this run has not taken is not its own: 1.0.5 asks the service, and takes for its own what has the host's name.
    Case("ours-already", steps=(ours_is_taken, run()), kinds="MO2F", notify=True, differs={"ran": {"M": Differs(
        "W1", theirs=line(TO_THE_END.replace(",False,", ",True,", 1), RELEASED), ours=line(TO_THE_END, RELEASED))}}),
    Case("ours-already-and-waited-for", steps=(ours_is_taken, run(hurry=True)), **PATIENT),
    Case("lost-in-between", kinds="MO2F", scripts=LOSES, steps=(run(meanwhile={"work": forced}),), differs={
        "codes": {"O2": Differs("W19", theirs="1", ours="0")},
        "state": {"O2": Differs("W19", theirs="lock_release", ours="-")}}),
    Case("lost-to-another", scripts=LOSES, steps=(run(meanwhile={"work": taken_over}),), differs={
        "codes": {"OF": Differs("W19", theirs="1", ours="0")},
        "state": {"OF": Differs("W19", theirs="lock_release", ours="-")}}),
    Case("nobody-there", kinds="MO", service="own", steps=(service_dies, run()), notify=True),
    # Foreman's client waits for a busy lock without end, and so does ours for a service that cannot be reached.
    Case("nobody-there-yet", waits=True, kinds="F", service="own", steps=(service_dies, run(meanwhile={"busy": service_comes_later})), differs={
        "codes": Differs("W37", theirs="1", ours="0"), "ran": Differs("W37", theirs="needs_update/10", ours=WHOLE),
        "state": Differs("W37", theirs="lock_get", ours="-"), "history": Differs("W37", theirs="", ours="granted released")}),
    Case("nobody-there-for-who-waits", kinds="M", service="own", steps=(service_dies, run()), **BRIEF),
    Case("comes-while-it-is-waited-for", waits=True, kinds="M", service="own", steps=(service_dies, run(meanwhile={"busy": service_comes_when_asked})),
         **PATIENT),
    Case("nobody-there-at-release", kinds="M", service="own", scripts=ENDS, steps=(run(meanwhile={"end": service_dies}),), notify=True,
         differs=called(TO_THE_END, NOT_RELEASED)),
    Case("nobody-there-at-release-then-again", kinds="M", service="own", scripts=ENDS,
         steps=(run(meanwhile={"end": service_dies}), service_comes, run()), notify=True,
         differs=called(TO_THE_END, NOT_RELEASED, RELEASED)),
    Case("away-at-release", waits=True, kinds="F", service="own", scripts=ENDS,
         steps=(run(meanwhile={"end": service_dies, "busy": service_comes_after_release}),), differs={
             "codes": Differs("W37", theirs="1", ours="0"), "state": Differs("W37", theirs="lock_release", ours="-"),
             "lock": Differs("W37", theirs="ours", ours="free"), "history": Differs("W37", theirs="granted", ours="granted released")}),
    Case("away-for-a-moment-at-release", waits=True, kinds="MO", service="own", scripts=ENDS,
         steps=(run(hurry=True, meanwhile={"end": service_dies, "busy": service_comes_when_asked}),),
         dotenv={"main_releaseattempts": "60"}),
    Case("given-up-at-release", kinds="M", service="own", scripts=ENDS, steps=(run(meanwhile={"end": service_dies}),),
         dotenv={"main_resetstateonreleasefailure": "true", "main_releaseattempts": "2"}, says="resetting state file",
         differs=called(WHOLE, NOT_RELEASED)),
    Case("service-starts-anew-in-between", service="own", scripts=LOSES,
         steps=(run(meanwhile={"work": service_restarts}),), notify=True),
    Case("wrong-secret", kinds="MO", service="own", secret="guessed", differs=called("needs_update/10", NOT_GRANTED)),
    Case("wrong-certificate", kinds="F", service="own", secret="guessed"),
    Case("wrong-secret-and-waits", kinds="M", secret="guessed", answers={"GET": says(401), "POST": says(401)},
         dotenv={"main_wait": "true", "main_acquireattempts": "3"},
         differs=called("needs_update/10", NOT_GRANTED) | {"asked": Differs("W38", theirs="GET POST GET POST GET POST", ours="GET")}),
    Case("forbidden-and-waits", kinds="M", answers={"GET": says(403), "POST": says(403)},
         dotenv={"main_wait": "true", "main_acquireattempts": "3"},
         differs=called("needs_update/10", NOT_GRANTED) | {"asked": Differs("W38", theirs="GET POST GET POST GET POST", ours="GET")}),
    Case("lock-name-not-taken", kinds="M", answers={"GET": says(404), "POST": says(422)},
         dotenv={"main_wait": "true", "main_acquireattempts": "3"},
         differs=called("needs_update/10", NOT_GRANTED) | {"asked": Differs("W38", theirs="GET POST GET POST GET POST", ours="GET POST")}),
    Case("no-duplicate-and-waits", kinds="M", answers={"GET": says(404), "POST": says(400, '{"detail": "Malformed"}')},
         dotenv={"main_wait": "true", "main_acquireattempts": "3"},
         differs=called("needs_update/10", NOT_GRANTED) | {"asked": Differs("W39", theirs="GET POST GET POST GET POST", ours="GET POST")}),
    Case("broken-at-acquire", kinds="MO", answers={"GET": says(500), "POST": says(500)}),
    Case("nonsense-at-acquire", kinds="MO", answers=dict.fromkeys(("GET", "POST"), says(502, "<html>bad gateway</html>"))),
    Case("nonsense-with-200", kinds="MO", answers=dict.fromkeys(("GET", "POST"), says(200, "<html>log in first</html>"))),
    Case("broken-once-at-acquire", waits=True, kinds="F", answers=then_well(500, '{"detail": "no"}'), differs=AGAIN),
    Case("nonsense-once-at-acquire", waits=True, kinds="F", answers=then_well(502, "<html>bad gateway</html>"), differs=AGAIN),
    Case("nonsense-once-with-200", waits=True, kinds="F", answers=then_well(200, "<html>log in first</html>"), differs=AGAIN),
    Case("broken-once-at-release", kinds="M", steps=(state("lock_release\n"), run()),
         answers={"GET": says(200, OURS), "DELETE": [*says(502, "<html>"), *says(200, "{}")]}),
    Case("refused-at-release", kinds="MO", steps=(state("lock_release\n"), run()), differs=called("", NOT_RELEASED),
         answers={"GET": says(200, OURS), "DELETE": says(403)}),
    Case("refused-at-release-by-foreman", kinds="F", steps=(state("lock_release\n"), run()),
         answers={"GET": says(200, OURS), "DELETE": says(403)}),
    Case("not-found-at-release", kinds="MO", steps=(state("lock_release\n"), run()), answers={"GET": says(404), "DELETE": says(404)}, differs={
        "codes": {"O": Differs("W19", theirs="1", ours="0")}, "state": {"O": Differs("W19", theirs="lock_release", ours="-")}}),
)
