"""patch-run over whole runs with real reboots, in the configurations of both lines of dlm_engine_updater, of foreman_dlm_updater and in
ours, and the chain under it. The lock service is our patch-lockd, on the host itself: what it has kept says when the lock was taken and given back."""

import contextlib
import json
import tempfile

from tests.hosts.ca import Authority

from . import journal
from .rig import FAIL, GATE, REACHED, check, equal
from .runner import case

OWNER = "web01.example.org"
URL = "http://127.0.0.1:7424"
TLS_URL = URL.replace("http:", "https:")
BASE = "/etc/dlm_engine_updater"
SEEN = "/var/lib/driver.seen"
ASK = "/root/ask.ini"
SCRIPT = f"""#!/bin/sh
echo "$DLM_ENGINE_UPDATER_PHASE $(basename "$0") $(cat /proc/sys/kernel/random/boot_id)/$(cut -d ' ' -f 22 /proc/1/stat)" >>{SEEN}
sync {SEEN}
{{body}}
"""
HANGS = f"if [ -e {GATE} ]; then : >{REACHED}; fi; while [ -e {GATE} ]; do sleep 0.05; done"
# What the configurations of 0.4 and of Foreman's updater call alike.
ALIKE = """lock = {base}/lock
state = {base}/state
lock_name = web
wait = true
wait_max = 60
needs_update.d = {base}/needs_update.d
pre_update.d = {base}/pre_update.d
update.d = {base}/update.d
needs_reboot.d = {base}/needs_reboot.d
post_update.d = {base}/post_update.d
ext_notify.d = {base}/ext_notify.d
reboot_cmd = shutdown -r now
"""
OLD_INI = """[main]
log = /var/log/dlm_engine_updater.log
log_level = INFO
log_retention = 3
endpoint = {url}/api/v2/
secret_id = web01
secret = {secret}
""" + ALIKE
FOREMAN = """[main]
log = /var/log/foreman_dlm_updater.log
loglevel = INFO
logretention = 3
foreman_url = {url}
client_crt = {base}/host.pem
client_key = {base}/host.key
ca = {base}/ca.pem
""" + ALIKE
DOTENV = """main_api_lockname=web
main_api_endpoint={url}/api/v2/
main_api_secretid=web01
main_api_secret={secret}
main_wait=true
main_waitmax=60
"""
LOCK = f"""
[lock]
backend = lockd
url = {URL}
owner = {OWNER}
secret_id = web01
secret_file = /etc/patch/lock.secret
names = web
backoff_base = 1s
backoff_max = 1s
"""


@contextlib.contextmanager
def served(rig, settings="", known_by=""):
    """A lock service on the host, started by its init at each boot; nobody holds anything."""
    host = rig.host
    host.write("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {OWNER} {host.name}\n")
    host.write("/etc/patch/lockd.ini", "[lockd]\n", 0o600)
    added = host.output(["patch-lockd", "add-client", "web01", "--owners", OWNER, "--locks", "web", "--secret-file",
                         "/etc/patch/lock.secret"])
    host.write("/etc/patch/lockd.ini", f"[lockd]\n{settings}{added}{known_by}", 0o600)
    host.write(ASK, LOCK if not settings else f"{LOCK}ca_file = {BASE}/ca.pem\n".replace(URL, TLS_URL))
    on = {"sysv": "update-rc.d patch-lockd defaults && /etc/init.d/patch-lockd start",
          "systemd": "systemctl enable --now patch-lockd.service"}
    off = {"sysv": "/etc/init.d/patch-lockd stop; update-rc.d patch-lockd remove; update-rc.d patch-run remove",
           "systemd": "systemctl disable --now patch-lockd.service patch-run-boot.service;"
                      " rm -rf /etc/systemd/system/patch-run*.d; systemctl daemon-reload"}
    host.output(f"{{ {on[rig.kind]}; }} >/dev/null 2>&1")
    yield host.read("/etc/patch/lock.secret").strip()
    host.run(f"{{ {off[rig.kind]}; }} >/dev/null 2>&1")
    host.run(f"rm -rf /var/lib/patch-lockd /etc/patch/lockd.ini /etc/patch/lock.secret {ASK} {BASE} {SEEN} /etc/patch/run"
             " /var/lib/patch/run /var/log/patch-run.log* /etc/cron.d/driver /root/another /etc/patch/other.secret")


@contextlib.contextmanager
def served_to_certificates(rig):
    """The same over TLS, which knows the host by its certificate."""
    with tempfile.TemporaryDirectory(prefix="patchflag-driver-") as folder:
        authority = Authority(folder)
        files = {"ca.pem": authority.certificate}
        for name, issued in (("lock", authority.issue("lock.example.org", "127.0.0.1")), ("host", authority.issue(OWNER))):
            files |= {f"{name}.pem": issued[0], f"{name}.key": issued[1]}
        for name, file in files.items():
            rig.host.write(f"{BASE}/{name}", file.read_text(), 0o600)
    settings = f"listen = 127.0.0.1:7424\ncertificate = {BASE}/lock.pem\nkey = {BASE}/lock.key\nclient_ca = {BASE}/ca.pem\n"
    with served(rig, settings, f"certificate = {OWNER}\n"):
        yield


def scripts(rig, reboot=None, **bodies):
    """A script for each phase, that says when it ran; and others by `phase_name=body`."""
    host = rig.host
    host.remove(SEEN)
    plain = {"needs_update": "exit 1", "pre_update": "", "update": "", "needs_reboot": "exit 1", "post_update": ""}
    if reboot:
        plain["reboot"] = reboot
    for phase, body in (plain | bodies).items():
        host.write(f"{BASE}/{phase}.d/10-{phase}", SCRIPT.format(body=body), 0o755)
    host.run(f"mkdir -p {BASE}/ext_notify.d {BASE}/on_failure.d")


def at_boot(rig, name="patch-run"):
    """Have init go on with a run, by our own unit or script; under another name as the page on moving has it."""
    if rig.kind == "systemd":
        unit = "patch-run-boot.service"
        if name != "patch-run":
            line = f"[Service]\nExecStart=\nExecStart=-/usr/sbin/{name} --after_reboot\n"
            rig.host.write(f"/etc/systemd/system/{unit}.d/name.conf", line)
        rig.host.output(f"systemctl daemon-reload && systemctl enable {unit}")
    elif name != "patch-run":
        rig.host.write("/etc/cron.d/driver", f"@reboot root /usr/sbin/{name} --after_reboot\n")
    else:
        rig.host.output(["update-rc.d", name, "defaults"])


def ask(rig, *words):
    """What patch-lock says."""
    return json.loads(rig.tick("patch-lock", "--config", ASK, *words, "--json", "web"))


def stands(rig, part="holders"):
    """Who holds the lock; or who stands in its queue."""
    shown = ask(rig, "show")
    locks = shown["locks"] if "locks" in shown else [shown] if isinstance(shown, dict) else shown
    return [one["owner"] for lock in locks for one in lock[part]]


def history(rig):
    """What happened to the lock, oldest first."""
    events = sorted(ask(rig, "history"), key=lambda event: event["id"])
    return [event["event"] for event in events if event["event"] in ("granted", "released", "forced")]


def seen(rig):
    """(phase, script, boot) of each script that ran."""
    return [tuple(line.split()) for line in rig.host.read(SEEN).splitlines()] if rig.host.exists(SEEN) else []


def over(rig, state):
    """Wait until no run is unfinished, and nobody works."""
    rig.host.wait_for(lambda: not rig.host.exists(state), 40, "the end of the run")
    rig.host.wait_for(lambda: rig.host.run("pgrep 'patch-run|dlm_engine|foreman_dlm'").returncode == 1, 10, "the end of the driver")


def assert_whole(rig, *names):
    """These scripts ran, in this order, the last of them alone behind a reboot; the lock was held over it all and given back once."""
    found = seen(rig)
    equal([name for _, name, _ in found], list(names), "the scripts that ran")
    equal(found[-1][0], "post_update", "the phase of the last one")
    check(found[-1][2] != found[-2][2], f"a boot before post_update: {found}")
    equal(history(rig), ["granted", "released"], "what happened to the lock")
    equal(stands(rig), [], "holders in the end")


@case()
def a_run_by_the_ini_file_of_0_4_reboots_and_goes_on_at_boot(rig):
    """Started by hand under the old name, with a reboot command of three words; the service speaks API v2."""
    with served(rig) as secret:
        scripts(rig)
        rig.host.write(f"{BASE}/config.ini", OLD_INI.format(base=BASE, url=URL, secret=secret), 0o600)
        at_boot(rig, "dlm_engine_updater")
        boots = len(rig.host.boots)
        rig.spawn("dlm_engine_updater")
        rig.back(boots + 1)
        over(rig, f"{BASE}/state")
        assert_whole(rig, "10-needs_update", "10-pre_update", "10-update", "10-needs_reboot", "10-post_update")
        check(" - INFO - MainThread - running: " in rig.host.read("/var/log/dlm_engine_updater.log"), "the log")


@case()
def a_run_by_the_ini_file_of_foreman_reboots_and_goes_on_at_boot(rig):
    """Started by hand under the old name; the service is Foreman's for it, and knows the host by its certificate."""
    with served_to_certificates(rig):
        scripts(rig)
        rig.host.write("/etc/foreman_dlm_updater/config.ini", FOREMAN.format(base=BASE, url=TLS_URL), 0o600)
        at_boot(rig, "foreman_dlm_updater")
        boots = len(rig.host.boots)
        rig.spawn("foreman_dlm_updater")
        rig.back(boots + 1)
        over(rig, f"{BASE}/state")
        assert_whole(rig, "10-needs_update", "10-pre_update", "10-update", "10-needs_reboot", "10-post_update")
        rig.host.run("rm -r /etc/foreman_dlm_updater")


@case()
def w13_a_power_cut_in_update_is_picked_up_at_boot_by_the_dotenv_file(rig):
    """What had succeeded is not repeated, what was cut short is; then the reboot by reboot.d, and the end."""
    with served(rig) as secret:
        scripts(rig, reboot="shutdown -r now", update=HANGS)
        rig.host.write(f"{BASE}/update.d/05-first", SCRIPT.format(body=""), 0o755)
        rig.host.write(f"{BASE}/.env", DOTENV.format(url=URL, secret=secret), 0o600)
        at_boot(rig, "dlm_engine_updater")
        rig.host.write(GATE, "")
        boots = len(rig.host.boots)
        rig.spawn("dlm_engine_updater")
        rig.host.wait_for(lambda: rig.host.exists(REACHED), 20, "the update")
        rig.host.power_cut()
        equal(rig.host.read(f"{BASE}/state"), "update\n", "the state")
        rig.host.remove(GATE)
        rig.host.start()
        rig.back(boots + 2)
        over(rig, f"{BASE}/state")
        assert_whole(rig, "10-needs_update", "10-pre_update", "05-first", "10-update", "10-update", "10-needs_reboot",
                     "10-reboot", "10-post_update")


def another_host(rig, owner, client):
    """As much of one below a directory as asks for a lock: its name, its identity, its credential."""
    root = "/root/another"
    section = LOCK.replace(OWNER, owner).replace("web01\n", f"{client}\n")
    files = {"etc/patch/config.ini": section, "etc/machine-id": "b" * 32 + "\n", "proc/sys/kernel/random/boot_id": "0a1b-2c\n",
             "proc/1/stat": f"1 (init) S {'0 ' * 18}4711 1 2 3\n", "proc/uptime": "100.00 0\n", "proc/cmdline": "quiet\n"}
    for name, text in files.items():
        rig.host.write(f"{root}/{name}", text)
    rig.host.write(f"{root}/etc/patch/lock.secret", rig.host.read(f"/etc/patch/{client}.secret"), 0o600)
    return root


@case()
def a_run_by_section_run_waits_for_its_lock_and_reboots(rig):
    """By our own units and scripts as they are installed; another host has the lock at first."""
    with served(rig):
        scripts(rig)
        rig.host.write("/etc/patch/config.ini", rig.plain_config + f"\n[run]\ndir = {BASE}\n" + LOCK)
        at_boot(rig)
        added = rig.host.output(["patch-lockd", "add-client", "other", "--owners", "web02*", "--locks", "web", "--secret-file",
                                 "/etc/patch/other.secret"])
        rig.host.write("/etc/patch/lockd.ini", rig.host.read("/etc/patch/lockd.ini") + "\n" + added, 0o600)
        rig.host.output("pkill -HUP -x patch-lockd")
        elsewhere = ("patch-lock", "--root", another_host(rig, "web02.example.org", "other"))
        rig.tick(*elsewhere, "acquire", "web")
        boots = len(rig.host.boots)
        rig.spawn("patch-run") if rig.kind == "sysv" else rig.host.output(["systemctl", "start", "patch-run.service"])
        rig.host.wait_for(lambda: stands(rig, "queue") == [OWNER], 20, "the place in the queue")
        equal([name for _, name, _ in seen(rig)], ["10-needs_update"], "scripts before the lock")
        rig.tick(*elsewhere, "release", "web")
        rig.back(boots + 1)
        over(rig, "/var/lib/patch/run/state")
        found = seen(rig)
        equal(len(found), 5, f"scripts {found}")
        check(found[4][2] != found[3][2], f"a boot before post_update: {found}")
        equal(history(rig), ["granted", "released"] * 2, "what happened to the lock")
        status = json.loads(rig.tick("patch-run", "--status", "--json"))
        equal((status["state"], status["ended"]), (None, "done"), "the status")


@case()
def w14_nothing_goes_on_behind_a_reboot_that_does_nothing(rig):
    """No tick takes it for a reboot; the lock stays held; when a boot does come, the run ends well."""
    with served(rig):
        scripts(rig)
        rig.host.write("/etc/patch/config.ini", rig.plain_config + f"\n[run]\ndir = {BASE}\nreboot = true\n" + LOCK)
        at_boot(rig)
        rig.tick("patch-run")
        for argv in (["patch-run"], ["patch-run", "--after_reboot"]):
            check("has not come" in rig.tick(*argv) + rig.host.read("/var/log/patch-run.log"), f"{argv} says so")
        equal([name for _, name, _ in seen(rig)][-1], "10-needs_reboot", "the last script before a boot")
        equal((rig.host.read("/var/lib/patch/run/state"), stands(rig)), ("post_update\n", [OWNER]), "state and holders")
        rig.reboot()
        over(rig, "/var/lib/patch/run/state")
        assert_whole(rig, "10-needs_update", "10-pre_update", "10-update", "10-needs_reboot", "10-post_update")


def chain_under_driver(rig):
    """The directories of the example, as its README says, and both configured for one lock."""
    rig.tick("sh", "-c", "mkdir -p /etc/patch/run && cp -R /usr/share/doc/patchflag/examples/driver/*.d /etc/patch/run")
    rig.host.write("/etc/patch/config.ini", rig.plain_config + LOCK)
    at_boot(rig)
    check(rig.tick("patch-run", "--check-config").endswith("nothing in it will hurt"), "the configuration")


@case()
def a_cluster_is_staged_installed_and_confirmed_under_the_driver(rig):
    """Its lock is the run's; it reboots and releases. Without an order there is nothing to do."""
    with served(rig):
        chain_under_driver(rig)
        rig.tick("patch-run")
        equal((history(rig), rig.host.exists("/var/lib/patch/run/state")), ([], False), "a start without an order")
        rig.arm()
        boots = len(rig.host.boots)
        rig.spawn("patch-run") if rig.kind == "sysv" else rig.host.output(["systemctl", "start", "patch-run.service"])
        rig.back(boots + 1)
        over(rig, "/var/lib/patch/run/state")
        rig.patched()
        text = rig.dated()[0]
        equal(journal.states(text), ["fetching", "staged", "starting", "installing", "installed"], "the states")
        facts = journal.facts(text)
        check(facts["verdict"] == "ok" and facts["lent"].startswith("lockd web "), f"the journal: {facts}")
        check(" grant=" not in text and "released=" not in text, "the run has no grant of its own")
        equal(history(rig), ["granted", "released"], "what happened to the lock")
        equal(stands(rig), [], "holders in the end")


@case()
def an_installation_that_fails_under_the_driver_keeps_its_lock(rig):
    """Until somebody abandons the run; ticks until then install nothing."""
    with served(rig):
        chain_under_driver(rig)
        rig.arm()
        rig.host.write(FAIL, "")
        for _ in range(2):
            rig.tick("patch-run", code=1)
            equal((rig.host.read("/var/lib/patch/run/state"), stands(rig)), ("update\n", [OWNER]), "state and holders")
        equal((len(rig.installs()), len(rig.mails())), (1, 1), "installations and mails")
        said = rig.mails()[0].get_body(("plain",)).get_content().replace("\n", " ")
        check("patch-run --abandon" in said, f"the mail says how: {said}")
        rig.tick("patch-run", "--abandon", "--reason", "mended")
        equal((history(rig), stands(rig)), (["granted", "released"], []), "the lock in the end")


@case()
def an_installation_that_the_power_cuts_under_the_driver_keeps_its_lock(rig):
    """Found at boot, by whichever tool comes first: interrupted, mailed once, not begun again; the driver stays in update."""
    with served(rig):
        chain_under_driver(rig)
        rig.arm()
        rig.host.write(GATE, "")
        boots = len(rig.host.boots)
        rig.spawn("patch-run")
        rig.host.wait_for(lambda: rig.host.exists(REACHED), 20, "the installer")
        rig.host.power_cut()
        rig.host.remove(GATE)
        rig.host.start()
        rig.back(boots + 1)
        rig.host.wait_for(lambda: json.loads(rig.tick("patch-run", "--status", "--json"))["failed"], 20, "the driver's word")
        equal((rig.host.read("/var/lib/patch/run/state"), stands(rig)), ("update\n", [OWNER]), "state and holders")
        # The driver has its word before patchit has written its mail.
        rig.host.wait_for(lambda: rig.mails() and not rig.host.exists("/etc/patchlog"), 20, "the end of the run")
        equal((len(rig.installs()), len(rig.mails()), len(rig.host.boots)), (1, 1, boots + 1), "installations, mails, boots")
        check("INTERRUPTED" in rig.subjects()[0], f"mails {rig.subjects()}")
        rig.tick("patch-run", "--abandon", "--reason", "mended")
        equal((history(rig), stands(rig)), (["granted", "released"], []), "the lock in the end")
