"""Configurations: what is missing, misspelt or of the wrong kind, and what decides how a run ends."""

from ..scenario import Case, Differs, run
from ..steps import rebooted
from .words import REBOOT, WHOLE, failed, line, up_to

MADE = "the directory of the log, the state or the lock file is made if it is missing"
ARGUMENTS = {"reboot_cmd": "{here}/etc/reboot.d/10 -r now"}


def without(key, kinds, name=None):
    """A configuration that lacks a key; it is required."""
    return Case(f"without-{name or key}", kinds=kinds, dotenv={key: None}, ini={key: None})


def dotenv(name, _differs=None, **values):
    """Settings of 1.0.5 that are tried alone."""
    return Case(name, kinds="M", dotenv=values, differs=_differs or {})


def ini(name, _differs=None, kinds="OF", **values):
    """Settings of the others."""
    return Case(name, kinds=kinds, ini=values, differs=_differs or {})


def added(text):
    """The configuration with more at its end."""
    return lambda before: before + text


def missing(phase, dialects, **differs):
    """A script directory that is not there."""
    return Case(f"no-{phase}.d", kinds=dialects, scripts={phase: None}, differs=differs)


def at_the_start(before, state="update", why="W26"):
    """The original finds out with the lock in its hand; ours before it begins."""
    return {"ran": Differs(why, theirs=before, ours=""), "state": Differs(why, theirs=state, ours="-"),
            "lock": Differs(why, theirs="ours", ours="free"), "history": Differs(why, theirs="granted", ours="")}


def taken(why, before=""):
    """The original ends before it begins, or when it finds out; ours goes on, and warns if it is likely to be a slip."""
    return {"codes": Differs(why, theirs="1", ours="0"), "ran": Differs(why, theirs=before, ours=WHOLE),
            "history": Differs(why, theirs="", ours="granted released")}


CASES = (
    *(without(f"main_api_{key}", "M") for key in ("lockname", "endpoint", "secretid", "secret")),
    *(without(key, "O") for key in ("endpoint", "secret_id", "secret", "log_level", "log_retention")),
    *(without(key, "OF") for key in ("log", "lock", "lock_name", "state")),
    *(without(key, "F") for key in ("foreman_url", "client_crt", "client_key")),
    Case("without-needs_update.d", kinds="OF", ini={"needs_update.d": None}),
    Case("without-update.d", kinds="OF", ini={"update.d": None}, differs=at_the_start(up_to("pre_update"))),
    Case("without-reboot_cmd", kinds="OF", ini={"reboot_cmd": None}, scripts={"needs_reboot": REBOOT},
         differs=at_the_start(up_to("needs_reboot"), "post_update", "W15")),
    Case("without-reboot_cmd-and-reboot", kinds="OF", ini={"reboot_cmd": None}, differs={
        "codes": Differs("W15", theirs="0", ours="1"), "ran": Differs("W15", theirs=WHOLE, ours=""),
        "history": Differs("W15", theirs="granted released", ours="")}),
    Case("without-ext_notify.d", kinds="O", ini={"ext_notify.d": None}, differs={"ran": Differs("W26", theirs="needs_update/10", ours="")}),
    Case("without-on_failure.d", kinds="O", ini={"on_failure.d": None}),
    Case("without-a-configuration", text=lambda _: "", says="is required|NoSectionError|Error"),
    Case("configuration-not-there", steps=(run("--cfg", "/nowhere/config.ini"),), kinds="OF", says="FileNotFoundError"),
    Case("configuration-not-there-1.0", steps=(run("--cfg", "/nowhere/env"),), kinds="M", says="main_api_secret is required"),
    Case("configuration-a-directory", steps=(run("--cfg", "/etc"),), kinds="MOF"),
    *(missing(phase, "M") for phase in ("update", "needs_update", "ext_notify", "on_failure")),
    missing("needs_update", "OF"),
    missing("update", "OF", **at_the_start(up_to("pre_update"))),
    missing("post_update", "OF", **at_the_start(up_to("needs_reboot"), "post_update")),
    missing("ext_notify", "O", ran=Differs("W26", theirs="needs_update/10", ours="")),
    dotenv("wait-bad", main_wait="maybe"), dotenv("waitmax-bad", main_waitmax="1h"), dotenv("waitmax-fraction", main_waitmax="1.5"),
    dotenv("retention-bad", main_log_retention="week"), dotenv("attempts-negative", main_acquireattempts="-1"),
    dotenv("attempts-none", main_releaseattempts="0"), dotenv("base-zero", main_acquirebackoffbase="0"),
    dotenv("level-bad", main_log_level="LOUD"), dotenv("level-small", main_log_level="info"), dotenv("level-info", main_log_level="INFO"),
    dotenv("level-error", main_log_level="ERROR"), dotenv("users-not-json", main_userscriptusers="peer,other"),
    dotenv("key-misspelt", main_wiat="true"),
    dotenv("key-of-another-section", other_key="1", _differs=taken("W43")),
    dotenv("plugin-not-installed", plugin_slack_enabled="false", _differs=taken("W30")),
    dotenv("key-in-capitals", MAIN_WAIT="yes"), dotenv("wait-empty", main_wait=""),
    dotenv("directory-of-the-log-missing", main_log_file="{here}/nowhere/log", _differs=taken(MADE)),
    dotenv("noop", main_api_noop="true"),
    dotenv("endpoint-without-slash", main_api_endpoint="{url}/api/v2", _differs={
        "ran": Differs("W43", theirs="needs_update/10", ours=""), "state": Differs("W43", theirs="lock_get", ours="-")}),
    dotenv("endpoint-of-v1", main_api_endpoint="{url}/api/v1/", _differs={
        "ran": Differs("W43", theirs="needs_update/10", ours=""), "state": Differs("W43", theirs="lock_get", ours="-")}),
    # To the service of the original it is another lock: what follows a question mark in an address is no part of a name.
    Case("lock-name-with-a-question", kinds="M", dotenv={"main_api_lockname": "{lock}?x"}, told="{lock}?x",
         differs={"history": Differs("W42", theirs="", ours="granted released")}),
    Case("wait-from-the-environment", kinds="M", steps=(run(env={"MAIN_WAIT": "maybe"}),)),
    Case("lock-name-from-the-environment", kinds="M", told="{lock}-outside",
         steps=(run(env={"MAIN_API_LOCKNAME": "{lock}-outside"}),)),
    Case("noop-from-the-environment", kinds="M", steps=(run(env={"MAIN_API_NOOP": "true"}),), notify=True,
         differs={"history": Differs("W8", theirs="", ours="granted released")}),
    Case("export-quotes-comments", kinds="M", text=lambda text: "# a comment\n\n" + "".join(
        f"export {key}='{value}' # why\n" for key, _, value in (line.partition("=") for line in text.splitlines()))),
    Case("line-that-is-none", kinds="M", text=added("what is this\n")),
    ini("wait-wrong", kinds="O", wait="maybe"), ini("wait_max-wrong", kinds="O", wait_max="1h"), ini("retention-wrong", log_retention="week"),
    ini("level-wrong", log_level="LOUD"), ini("level-warning", log_level="WARNING"), ini("key-wrong", waite="1"),
    ini("wait-in-words", kinds="O", wait="Off"), ini("log-below-nothing", log="{here}/nowhere/log", _differs=taken(MADE)),
    ini("state-below-nothing", state="{here}/nowhere/state", _differs=taken(MADE, "needs_update/10")),
    ini("lock-below-nothing", lock="{here}/nowhere/lock", _differs=taken(MADE)),
    ini("endpoint-of-no-version", kinds="O", endpoint="{url}/", _differs={
        "ran": Differs("W43", theirs="needs_update/10", ours=""), "state": Differs("W43", theirs="lock_get", ours="-")}),
    ini("secret-with-percent", kinds="O", secret="50%x"),
    ini("comment-behind-a-value", kinds="O", wait="true # please"),
    ini("reboot_cmd-with-arguments", _differs=None, reboot_cmd="{here}/etc/reboot.d/10 -r now"),
    Case("reboot_cmd-with-arguments-whole", kinds="OF", ini=ARGUMENTS, scripts={"needs_reboot": REBOOT}, steps=(run(), rebooted, run()),
         differs={"codes": Differs("W15", theirs="1 0", ours="0 0"),
                  "ran": Differs("W15", theirs=line(up_to("needs_reboot"), "post_update/10"),
                                 ours=line(up_to("needs_reboot"), "reboot/10(-r,now)", "post_update/10"))}),
    Case("reboot_cmd-not-there", kinds="OF", ini={"reboot_cmd": "/nowhere/reboot"}, scripts={"needs_reboot": REBOOT}, differs={
        "ran": {"O": Differs("W29", theirs=up_to("needs_reboot"), ours=line(up_to("needs_reboot"), failed("reboot", "none", 126)))},
        "state": Differs("W14", theirs="post_update", ours="reboot")}),
    Case("key-twice", kinds="OF", text=lambda text: text + "log = /tmp/x\n", says="DuplicateOptionError"),
    Case("section-twice", kinds="OF", text=added("[main]\n"), says="DuplicateSectionError"),
    Case("key-without-value", kinds="OF", text=added("wait\n"), says="ParsingError"),
    Case("no-section", kinds="OF", text=lambda text: text.replace("[main]\n", ""), says="MissingSectionHeaderError"),
    Case("defaults-and-colons", kinds="OF", text=lambda text: "[DEFAULT]\nplace = here\n; a comment\n" + text.replace(" = ", " : ")),
    Case("section-of-the-old-example", kinds="OF", text=added("[scripts]\nupdate.d = /nowhere\n")),
    Case("interpolated", kinds="OF", text=lambda text: "[DEFAULT]\nname = 10\n" + text.replace("reboot.d/10", "reboot.d/%(name)s"),
         scripts={"needs_reboot": REBOOT}),
)
