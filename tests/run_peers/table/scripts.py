"""Files in script directories that are no good scripts, and scripts that do what scripts should not do."""

from ..scenario import Case, Differs, Script, run
from ..steps import open_to_all, user_directory_open_to_all
from .words import TWO, WHOLE, failed, line, since, up_to

USERS = {"dotenv": {"main_userscriptusers": '["peer"]'}}
OWNER = 4711


def before_the_run(why, phase, theirs=WHOLE):
    """The original goes on as if it were not there; ours stops before anything has run or is locked, and tells on_failure.d."""
    return {"codes": Differs(why, theirs="0", ours="1"),
            "ran": {"MO": Differs(f"{why} W29", theirs=theirs, ours=failed(phase, "none", 1, False)), "F": Differs(why, theirs=theirs, ours="")},
            "history": Differs(why, theirs="granted released", ours="")}


def unfit(name, script):
    """A file among the scripts that must not run."""
    return Case(f"unfit-{name}", scripts={"update": (Script(), script)}, differs=before_the_run("W25", "update"))


def leftover(name):
    """The original runs it."""
    both = " ".join(f"update/{one}" for one in sorted(("10", name)))
    return Case(f"leftover-{name.strip('.~')}", scripts={"update": (Script(), Script(name))}, differs={
        "ran": Differs("W33", theirs=line(up_to("pre_update"), both, since("needs_reboot")), ours=WHOLE)})


def cannot_start(name, script, code):
    """The original dies of a traceback and tells nobody."""
    return Case(f"unstartable-{name}", scripts={"update": (Script(), script)}, says="Traceback", differs={
        "ran": {"MO": Differs("W23 W29", theirs=up_to("update"), ours=line(up_to("update"), failed("update", "update/20", code)))}})


def says(what):
    """A script whose output is this, for printf(1)."""
    return {"update": (Script(does=f"printf '{what}'; echo 'said so'"),)}


CASES = (
    unfit("not-executable", Script("20", mode=0o644)), unfit("writable-by-group", Script("20", mode=0o775)),
    unfit("writable-by-others", Script("20", mode=0o757)), unfit("of-a-user", Script("20", owner=OWNER)),
    unfit("dangling-link", Script("20", link="nowhere")), unfit("loop-of-links", Script("20", link="20")),
    unfit("link-to-a-file-of-anybody", Script("20", link="{here}/record")),
    Case("unfit-alone", scripts={"update": (Script(mode=0o644),)}, says="file not executable by root",
         differs=before_the_run("W25", "update", line(up_to("pre_update"), since("needs_reboot")))),
    Case("unfit-in-needs_update", scripts={"needs_update": (Script(rc=1, mode=0o644),)}, differs={
        "codes": Differs("W25", theirs="0", ours="1"),
        "ran": {"MO": Differs("W25 W29", theirs="", ours=failed("needs_update", "none", 1, False))}}),
    Case("unfit-in-ext_notify", kinds="MO", scripts={"ext_notify": (Script(mode=0o644),)}),
    # Who cannot be told is told of in the log; nothing of a directory runs that holds an unfit script.
    Case("unfit-in-on_failure", kinds="MO", scripts={"update": (Script(rc=1),), "on_failure": (Script(mode=0o644), Script("20"))}, differs={
        "ran": Differs("W25", ours=up_to("update"),
                       theirs=f"{up_to('update')} on_failure/20(LOCK,True,True,update,update/10,1)")}),
    Case("executable-by-root-alone", scripts={"update": (Script(mode=0o700),)}),
    Case("setuid", scripts={"update": (Script(mode=0o4755),)}),
    Case("link", scripts={"update": (Script("20", link="../post_update.d/10"),)}),
    Case("link-to-a-directory", scripts={"update": (Script(), Script("20", link="../post_update.d"))}),
    Case("directory-among-scripts", scripts={"update": (Script(), Script("20", folder=True))}),
    leftover(".hidden"), leftover("10~"), leftover("10.bak"), leftover("10.rpmsave"), leftover("10.dpkg-old"),
    Case("odd-names", scripts={"update": (Script("a b"), Script("c'd"), Script("10.sh"), Script("-x"))}),
    cannot_start("no-interpreter", Script("20", shebang="#!/nowhere/sh"), 126),
    cannot_start("no-shebang", Script("20", raw="echo\n"), 126),
    cannot_start("empty", Script("20", raw=""), 126),
    cannot_start("carriage-return", Script("20", shebang="#!/bin/sh\r"), 126),
    Case("not-utf-8", scripts=says(r"\377\376 \351t\351\n"), says="UnicodeDecodeError", differs={
        "codes": Differs("W22", theirs="1", ours="0"),
        "ran": Differs("W22", theirs=up_to("update"), ours=WHOLE),
        "state": Differs("W22", theirs="update", ours="-"), "lock": Differs("W22", theirs="ours", ours="free"),
        "history": Differs("W22", theirs="granted", ours="granted released")}),
    Case("utf-8", scripts=says(r"\303\251t\303\251\n")),
    Case("no-line-end", scripts={"update": (Script(does="printf 'said nothing more'"),)}),
    Case("says-nothing", scripts={"update": (Script(raw="#!/bin/sh\nexit 0\n"),)}),
    Case("says-much", scripts={"update": (Script(does="i=0; while [ $i -lt 500 ]; do echo said $i; i=$((i+1)); done"),)}),
    Case("one-long-line", scripts=says(r"%070000d\n")),
    Case("percent-and-braces", scripts=says(r"said %%s %%(x)s {{}} \\\\ \n")),
    Case("reads-stdin", scripts={"update": (Script(does="cat; echo said end"),)}),
    Case("leaves-a-child-behind", scripts={"update": (Script(does="(/bin/sleep 1.5; late) &"),)}, differs={
        "ran": Differs("W21", theirs=line(up_to("update"), "update/10:late", since("needs_reboot")), ours=line(WHOLE, "update/10:late"))}),
    Case("ignores-term-and-is-fine", scripts={"update": (Script(does="trap '' TERM; kill $$; echo said alive"),)}),
    Case("removes-itself", scripts={"update": (Script(does='rm "$0"'), Script("20"))}),
    Case("removes-the-next-one", scripts={"update": (Script(does='rm "${{0%/*}}/20"'), Script("20"))}, says="Traceback", differs={
        "ran": {"MO": Differs("W23 W29", theirs=up_to("update"), ours=line(up_to("update"), failed("update", "update/20", 126)))}}),
    Case("directory-open-to-all", steps=(open_to_all("update"), run()), differs=before_the_run("W24", "update")),
    Case("writes-the-next-one", scripts={"update": (Script(does='cp -p "$0" "${{0%/*}}/20"'),)}),
    Case("users-scripts", kinds="M", notify=True, **USERS, scripts={
        "user pre_update": (Script("05", owner=OWNER), Script("15", owner=OWNER)), "pre_update": TWO,
        "user post_update": (Script(owner=OWNER),), "user update": (Script(owner=OWNER),)}),
    Case("users-script-fails", kinds="M", **USERS, scripts={
        "user pre_update": (Script("15", rc=5, owner=OWNER),), "pre_update": TWO}),
    Case("users-without-scripts", kinds="M", **USERS),
    Case("users-script-of-root", kinds="M", scripts={"user pre_update": (Script("15"),)}, differs=before_the_run("W25", "pre_update"), **USERS),
    Case("users-directory-open-to-all", kinds="M", steps=(user_directory_open_to_all, run()), **USERS,
         scripts={"user pre_update": (Script("15", owner=OWNER),)},
         differs=before_the_run("W31", "pre_update", WHOLE.replace("pre_update/10", "pre_update/10 pre_update/15"))),
    # The original warns, and goes on without his scripts.
    Case("users-that-do-not-exist", kinds="M", dotenv={"main_userscriptusers": '["nobody-of-this-name"]'},
         says="does not exist", differs=before_the_run("W25", "pre_update")),
)
