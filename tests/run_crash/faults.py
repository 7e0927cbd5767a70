"""Bad nights: what is on disk is torn, full or somebody else's, a script is unfit, a reboot does not come, the service is away.

Each is a run in the dialect of the host that it is given; it raises AssertionError with what should have been.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, replace
from typing import Callable

from tests.hosts.wait import wait_for

from . import judge, point
from .host import DIALECTS
from .scenes import SCENES, failed, must

OF_A_SAMPLE = 8
NIGHTS = {}


@dataclass(frozen=True)
class Night:
    """What happens, and to which hosts."""

    run: Callable
    dialects: tuple


def night(*dialects):
    """Say of a function that it is one."""
    def add(run):
        NIGHTS[run.__name__] = Night(run, dialects or ("ours",))
        return run
    return add


def choose(only, sample, seed):
    """(name, night) of those that are asked for: all, or a sample by seed."""
    names = [name for name in only if ":" not in name]
    for name in set(names) - set(NIGHTS):
        raise SystemExit(f"run-crash: there is no fault {name}; they are in tests/run_crash/faults.py")
    found = [(name, NIGHTS[name]) for name in names] or list(NIGHTS.items())
    return random.Random(seed).sample(found, min(OF_A_SAMPLE, len(found))) if sample and not only else found


def check(holds, words):
    """Raise unless it holds."""
    if not holds:
        raise AssertionError(words)


def refuses(host, code, *words, argv=(), runs=(), around=()):
    """A start ends with this code and says these words; of the scripts only these run."""
    before = len(host.lines())
    got = host.run(*argv, around=around)
    said = host.errors + host.log()[-3000:]
    ran = [line.script for line in host.lines()[before:] if line.word == "begin" and line.phase not in ("ext_notify", "on_failure")]
    check(got == code, f"code {got}, not {code}: {said[-700:]}")
    check(ran == list(runs), f"{ran} ran, and not {list(runs)}")
    for word in words:
        check(word in said, f"nobody says {word!r}: {said[-700:]}")


def goes_on(host, kernel=False, takes=1):
    """Ticks bring the run to its end, and all held that must."""
    scene = replace(SCENES["down" if kernel else "whole"], takes=takes)
    outcome = point.Outcome(scene, "fault", state=host.state(), boot=host.boots[-1])
    outcome.killed, outcome.record = len(host.lines()), host.record()
    point.recover(host, outcome)
    point.look(host, outcome)
    wrong = list(judge.judge(outcome))
    check(not wrong, "; ".join(wrong))


@night(*DIALECTS)
def a_state_that_is_no_phase_is_refused_and_left_alone(host):
    """W11: both updaters delete it, and forget the lock."""
    for text in ("upd", "\0" * 8, "update update\n", "\x1b[31m\n", "x" * 60_000):
        host.write("lib/state", text)
        for argv in ((), ("--after_reboot",)):
            got = host.run(*argv)
            check(got not in (0, 75), f"{text[:10]!r} is taken for a state: code {got}")
            check(f"{host.folder}/lib/state" in host.errors, f"the state file is not named: {host.errors}")
        check(host.state() == text, "the state file was changed")
    check(not host.lines(), "something ran")
    check("patch-run --abandon" in host.errors, f"no way out is told: {host.errors}")
    (host.folder / "lib/state").unlink()
    goes_on(host)


@night(*DIALECTS)
def a_state_of_the_originals_goes_on_and_an_empty_one_is_abandoned(host):
    """They write the name without an end of line, and a crash of theirs leaves nothing in the file."""
    host.write("lib/state", "")
    check(host.run() != 0, "an empty state without a record is taken for one")
    check(host.run("--abandon", "--reason", "torn") == 0, f"it cannot be abandoned: {host.errors}")
    check(host.state() is None, "the state stays")
    host.write("lib/state", "pre_update")
    must(host, 0)
    check([line.script for line in host.lines()][:1] == ["pre_update.d/10-drain"], "it does not go on with its phase")
    goes_on(host)


@night()
def a_record_with_a_torn_end_goes_on(host):
    """Whatever a power cut has left of the last line."""
    failed(host)
    whole = host.record()
    for cut in range(1, len(whole) - whole.rstrip("\n").rfind("\n"), 23):
        for more in ("", "\0" * 40):
            host.write("lib/state.run", whole[:-cut] + more)
            check(host.run("--status") == 0, f"without the last {cut} bytes: {host.errors}")
            check("phase update is next" in host.errors, f"without the last {cut} bytes: {host.errors}")
    host.write("lib/state.run", whole[:-9] + "\0" * 9)
    goes_on(host)


@night()
def a_record_that_lost_its_grant_finds_it_again(host):
    """The line of the grant is garbage; the lock is asked for again, and given back once."""
    failed(host)
    host.write("lib/state.run", re.sub(r"\n[^\n]* grant=[^\n]*", "\n" + "?" * 90, host.record()))
    goes_on(host)


@night(*DIALECTS)
def a_run_whose_end_was_not_recorded_is_not_the_next_one(host):
    """Killed when the state was gone and the record not closed: with no script around the update, the next one would find it done."""
    for phase in ("pre_update", "post_update"):
        for script in (host.folder / f"lib/{phase}.d").iterdir():
            script.unlink()
    updates = ["needs_update.d/10-ask", "update.d/10-packages", "update.d/20-done", "needs_reboot.d/10-kernel"]
    refuses(host, 0, runs=updates)
    first = run_id(host)
    for _ in range(2):
        host.write("lib/state.run", "".join(line for line in host.record().splitlines(True) if " ended=" not in line))
        (host.folder / "patched").unlink()
        refuses(host, 0, runs=updates)
        check(run_id(host) != first, "it has the name of the run before")
        check(host.history()[1] == [], f"the lock is held by {host.history()[1]}")


@night(*DIALECTS)
def a_run_that_is_sent_back_does_again_what_it_has_done(host):
    """By hand, to a phase without scripts: those of the phases behind it have succeeded, and run again."""
    host.hold("needs_reboot.d/10-kernel")
    process = host.start()
    wait_for(lambda: host.is_at("needs_reboot.d/10-kernel"), 20)
    os.kill(host.driver(), signal.SIGTERM)
    host.finish(process)
    host.let_go("needs_reboot.d/10-kernel")
    for script in (host.folder / "lib/pre_update.d").iterdir():
        script.unlink()
    host.write("lib/state", "pre_update\n")
    refuses(host, 0, runs=["update.d/10-packages", "update.d/20-done", "needs_reboot.d/10-kernel", "post_update.d/10-start",
                           "post_update.d/20-check"])


def run_id(host):
    """Which run the record is of."""
    return re.search(r" run=(\S+)", host.record())[1]


@night(*DIALECTS)
def a_reboot_that_never_comes_is_waited_for_and_then_a_failure(host):
    """W14: post_update and release without a reboot."""
    host.write("kernel", "")
    must(host, 0)
    (host.folder / "down").unlink()
    for argv in ((), ("--after_reboot",), ()):
        refuses(host, 0, argv=argv)
    host.age(point.BOOT_WAIT)
    for alarms in (1, 1):
        refuses(host, 1, "did not")
        check(alarms == sum(line.script == "on_failure.d/10-alarm" and line.word == "begin" for line in host.lines()), "no one alarm")
    check(host.state() == "post_update\n", f"the state is {host.state()!r}")
    host.boot()
    check(host.run("--after_reboot") == 0, host.errors)
    goes_on(host, kernel=True)


@night()
def a_reboot_that_did_not_come_is_ordered_again_on_demand(host):
    """By writing reboot into the state file, as the message says."""
    host.write("kernel", "")
    must(host, 0)
    (host.folder / "down").unlink()
    host.age(point.BOOT_WAIT)
    refuses(host, 1, "write reboot into the state file")
    host.write("lib/state", "reboot\n")
    refuses(host, 0, runs=["reboot.d/10-now"])
    check((host.folder / "down").exists(), "the host was not told again")


class Disk:
    """A small file system in place of one of the host's directories; a context."""

    def __init__(self, host, place):
        self.host, self.place = host, host.folder / place

    def __enter__(self):
        kept = self.place.with_name("kept")
        shutil.copytree(self.place, kept)
        # A host sees what was mounted when it booted.
        self.host.power_cut()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k,mode=0755", "run-crash", self.place], check=True)
        shutil.copytree(kept, self.place, dirs_exist_ok=True)
        self.host.boot()
        return self

    def fill(self):
        """Nothing fits any more."""
        with contextlib.suppress(OSError), open(self.place / "filler", "wb", buffering=0) as file:
            while file.write(b"\0" * 4096):
                pass

    def empty(self):
        """There is room again."""
        (self.place / "filler").unlink()

    def __exit__(self, *_):
        self.host.power_cut()
        subprocess.run(["umount", self.place], check=True)
        self.host.boot()


@night(*DIALECTS)
def a_full_disk_begins_nothing_that_cannot_be_recorded(host):
    """No room for the record at all."""
    with Disk(host, "lib") as disk:
        disk.fill()
        for _ in range(2):
            check(host.run() == 1, f"code {host.codes[-1]}: {host.errors}")
            check("No space left on device" in host.errors and f"{host.folder}/lib/" in host.errors, f"it says {host.errors}")
        ran = {line.phase for line in host.lines()} - {"needs_update", "ext_notify"}
        check(not ran, f"{ran} ran without a record")
        check(not any(asked.takes for asked in host.relay.asked), "the lock was taken without a record")
        disk.empty()
        goes_on(host)


@night()
def a_disk_that_fills_up_in_a_run_stops_it_where_it_is(host):
    """In each phase: what was set aside takes the record, the state can't be replaced; with room the run goes on, and repeats nothing."""
    with Disk(host, "lib") as disk:
        for script in ("pre_update.d/20-stop", "update.d/10-packages", "post_update.d/20-check"):
            (host.folder / "patched").unlink(missing_ok=True)
            before = len(host.lines())
            host.hold(script)
            process = host.start()
            wait_for(lambda script=script: host.is_at(script), 20, script)
            disk.fill()
            host.let_go(script)
            code = host.finish(process)
            check(code == 1 and "No space left on device" in host.errors, f"full in {script}: code {code}: {host.errors}")
            phase = script.partition(".d")[0]
            check(host.state() in (f"{phase}\n",), f"full in {script}: the state is {host.state()!r}")
            check(host.run() == 1, f"full in {script}: the next start ends with {host.codes[-1]}")
            disk.empty()
            must(host, 0)
            ran = [line.script for line in host.lines()[before:] if line.word == "begin"]
            check(ran.count(script) == 1, f"{script} ran {ran.count(script)} times")
        goes_on(host, takes=3)


@night()
def a_full_disk_for_the_log_stops_nobody_and_is_told(host):
    """What is lost is counted, and told when there is room."""
    with Disk(host, "log") as disk:
        disk.fill()
        check(host.run() == 0, f"code {host.codes[-1]}: {host.errors}")
        check("lines of the log could not be written" in host.errors, f"it says {host.errors}")
        disk.empty()
        goes_on(host)


def unfit(host, what, spoil, mend, words):
    """A script or directory of update.d is spoilt: named, nothing of the directory runs, the lock is kept; mended, the run goes on."""
    (host.folder / "patched").unlink(missing_ok=True)
    failed(host)
    spoil()
    before = len(host.lines())
    for _ in range(2):
        code = host.run()
        check(code == 1, f"{what}: code {code}: {host.errors}")
        check(all(word in host.errors for word in words), f"{what}: it says {host.errors}")
    ran = {line.phase for line in host.lines()[before:]} & {"update", "needs_reboot", "post_update"}
    check(not ran, f"{what}: {ran} ran")
    check(host.state() == "update\n" and host.history()[1], f"{what}: state {host.state()!r}, held by {host.history()[1]}")
    mend()
    must(host, 0)


@night(*DIALECTS)
def an_unfit_script_stops_its_phase(host):
    """W25: a script that lost its x bit means success, and nothing is patched. W24: directories are never looked at."""
    folder = host.folder / "lib/update.d"
    script, second, loop = folder / "20-done", folder / "10-packages", folder / "15-loop"
    unfit(host, "no x bit", lambda: script.chmod(0o644), lambda: script.chmod(0o755), [str(script), "chmod"])
    unfit(host, "others write", lambda: second.chmod(0o757), lambda: second.chmod(0o755), [str(second), "0757"])
    unfit(host, "a stranger's", lambda: os.chown(script, 65534, 65534), lambda: os.chown(script, 0, 0), [str(script)])
    unfit(host, "its directory", lambda: folder.chmod(0o777), lambda: folder.chmod(0o755), [str(folder), "0777"])
    unfit(host, "a directory above", lambda: folder.parent.chmod(0o777), lambda: folder.parent.chmod(0o755), [str(folder.parent)])
    unfit(host, "a loop", lambda: loop.symlink_to("15-loop"), loop.unlink, [str(loop)])
    unfit(host, "a link to nothing", lambda: loop.symlink_to("/nowhere"), loop.unlink, [str(loop)])
    unfit(host, "a FIFO", lambda: os.mkfifo(loop, 0o755), loop.unlink, [str(loop)])
    if host.dialect == "theirs":
        # Of theirs no directory need be there.
        return
    unfit(host, "no directory", lambda: folder.rename(folder.with_name("gone")), lambda: folder.with_name("gone").rename(folder),
          [str(folder)])


@night(*DIALECTS)
def a_service_that_is_away_at_release_is_asked_until_it_is_back(host):
    """The run stays in its last phase, and nothing runs again."""
    away(host)
    check(host.run() == 69, f"code {host.codes[-1]}: {host.errors}")
    for _ in range(3):
        check(host.state() == "lock_release\n", f"the state is {host.state()!r}")
        refuses(host, 69)
    check(host.history()[1] == [host.name], "the lock is not held any more")
    host.relay.before = lambda *_: None
    goes_on(host)


@night(*DIALECTS)
def a_signal_while_the_lock_is_given_back_is_no_failure(host):
    """SIGTERM when the service does not answer: nobody is alarmed, and the next start goes on."""
    asked, gate = threading.Event(), threading.Event()

    def hang(method, path):
        if method == "DELETE" or path.endswith("/release"):
            asked.set()
            gate.wait(20)
            raise ConnectionError

    host.relay.before = hang
    process = host.start()
    check(asked.wait(20), "nothing is given back")
    os.kill(host.driver(), signal.SIGTERM)
    gate.set()
    check(host.finish(process) == 128 + signal.SIGTERM, f"code {host.codes[-1]}: {host.errors}")
    check(not any(line.script == "on_failure.d/10-alarm" for line in host.lines()), "somebody is alarmed")
    check(host.state() == "lock_release\n", f"the state is {host.state()!r}")
    host.relay.before = lambda *_: None
    goes_on(host)


def away(host):
    """Nobody can give a lock back."""
    def hang_up(method, path):
        if method == "DELETE" or path.endswith("/release"):
            raise ConnectionError

    host.relay.before = hang_up


@night(*DIALECTS)
def a_service_that_is_away_is_a_no_until_the_reboot_and_nobody_s_business_behind_it(host):
    """W3: updates run without lock. Behind the reboot the host is brought back into service all the same."""
    def hang_up(*_):
        raise ConnectionError

    host.relay.before = hang_up
    refuses(host, 69, runs=["needs_update.d/10-ask"])
    host.relay.before = lambda *_: None
    host.write("kernel", "")
    failed(host)
    host.relay.before = hang_up
    refuses(host, 69)
    host.relay.before = lambda *_: None
    must(host, 0)
    host.boot()
    host.relay.before = hang_up
    refuses(host, 69, argv=("--after_reboot",), runs=["post_update.d/10-start", "post_update.d/20-check"])
    host.relay.before = lambda *_: None
    goes_on(host, kernel=True)


@night()
def a_signal_while_it_waits_for_the_lock_leaves_nothing_held(host):
    """SIGTERM to a driver in the queue."""
    host.configure(wait="yes")
    host.occupy()
    process = host.start()
    wait_for(lambda: "asking for lock" in host.log(), 20)
    wait_for(lambda: len(host.relay.asked) or host.service("GET", f"/lock/1/locks/{host.lock}").get("queue"), 20)
    os.kill(host.driver(), signal.SIGTERM)
    code = host.finish(process)
    check(code == 143, f"code {code}: {host.errors}")
    host.vacate()
    host.configure()
    goes_on(host)


def outlives(host, script):
    """Whether a process that leaves the script's group and session works on when the driver was sent TERM. The script is as before then."""
    beat = host.folder / "beat"
    beat.unlink(missing_ok=True)
    was = (host.folder / "lib" / script).read_text()
    host.script(script, "setsid sh -c 'while :; do date +%s%N >{here}/beat; sleep 0.05; done' >/dev/null 2>&1 & sleep 600; code=9")
    process = host.start()
    wait_for(beat.exists, 20)
    os.kill(host.driver(), signal.SIGTERM)
    check(host.finish(process) == 143, f"code {host.codes[-1]}: {host.errors}")
    host.write(f"lib/{script}", was, 0o755)
    beat.unlink()
    time.sleep(0.5)
    return beat.exists()


@night()
def a_signal_reaches_whoever_a_script_has_started_once_the_host_may_be_changed(host):
    """SIGTERM to a driver; in needs_update only where there is a time-out, or nobody would wait for the control group."""
    fenced = host.fence is not None
    check(outlives(host, "needs_update.d/10-ask"), "a control group was opened for a script that only asks")
    host.boot()
    host.configure(more="script_timeout = 1h\n")
    check(outlives(host, "needs_update.d/10-ask") != fenced, "a script with a time-out has no control group")
    host.configure()
    host.boot()
    check(outlives(host, "update.d/10-packages") != fenced, "a script that works has no control group")
    host.boot()
    goes_on(host)


@night(*DIALECTS)
def a_script_that_is_tried_is_waited_for_as_one_of_a_run_is(host):
    """Its driver was killed: neither a run nor another try begins beside it."""
    host.hold("update.d/10-packages")
    process = host.start("--phase", "update")
    wait_for(lambda: host.is_at("update.d/10-packages"), 20)
    os.kill(host.driver(), signal.SIGKILL)
    host.finish(process)
    refuses(host, 75, "is still at work")
    refuses(host, 1, "is still at work", argv=("--phase", "update"))
    host.let_go("update.d/10-packages")
    wait_for(lambda: not host.is_at("update.d/10-packages"), 20)


@night()
def a_control_group_that_a_script_has_made_is_none_of_the_next_one_s(host):
    """A container's, say: it is not ended when the time of the script behind it is over."""
    if host.fence is None:
        return
    host.script("update.d/10-packages", f"""for group in {host.fence}/patch-run.*; do
    mkdir $group/inner; setsid sh -c "echo 0 >$group/inner/cgroup.procs; exec sleep 600" >/dev/null 2>&1 &
    until read pid <$group/inner/cgroup.procs; do sleep 0.02; done
done; code=0""")
    host.script("update.d/20-done", "sleep 600; code=0")
    host.configure(more="script_timeout = 1s\nscript_grace = 1s\n")
    check(host.run() == 1, f"code {host.codes[-1]}: {host.errors}")
    inner, = host.fence.glob("patch-run.*/inner")
    lives = bool((inner / "cgroup.procs").read_text())
    host.power_cut()
    wait_for(lambda: not (inner / "cgroup.procs").read_text(), 5)
    inner.rmdir()
    host.boot()
    check(lives, "what a script has left in a group of its own was ended with the next script")


@night(*DIALECTS)
def a_caller_that_does_not_care_for_its_children_changes_nothing(host):
    """SIGCHLD ignored, which is inherited: the kernel would forget how a script has ended."""
    asks = "needs_update.d/10-ask"
    careless = ("env", "--ignore-signal=CHLD")
    was = (host.folder / "lib" / asks).read_text()
    host.script(asks, "code=0")
    refuses(host, 0, runs=[asks], around=careless)
    host.write(f"lib/{asks}", was, 0o755)
    check(host.run(around=careless) == 0, f"code {host.codes[-1]}: {host.errors}")
    goes_on(host)


@night(*DIALECTS)
def two_drivers_never_work_at_once(host):
    """Six starts while a script is at work."""
    host.hold("update.d/10-packages")
    process = host.start()
    wait_for(lambda: host.is_at("update.d/10-packages"), 20)
    before = len(host.lines())
    for other in [host.start(*argv) for argv in ((), ("--after_reboot",)) * 3]:
        check(host.finish(other) == 0, f"code {host.codes[-1]}: {host.errors}")
    check(host.run("--abandon", "--reason", "x") == 1, f"abandoned beside a run at work: {host.errors}")
    check(len(host.lines()) == before, "something ran beside a script at work")
    host.let_go("update.d/10-packages")
    check(host.finish(process) == 0, host.errors)
    goes_on(host)


@night()
def many_drivers_at_the_same_moment_do_one_run(host):
    """Eight of them; those that come too late find nothing to do, or somebody at work."""
    for process in [host.start() for _ in range(8)]:
        check(host.finish(process) == 0, f"code {host.codes[-1]}: {host.errors}")
    goes_on(host)


@night(*DIALECTS)
def a_date_never_holds_a_run_that_has_begun(host):
    """W12: a run that was cut short on its day is resumed a month later, with the lock held all the time."""
    failed(host)
    day = subprocess.run(["date", "-d", "tomorrow", "+%a"], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}).stdout.strip()
    tomorrow = ",".join(f"{number}:{day}" for number in range(1, 6))
    check(host.run("--date_constraint", tomorrow) == 0 and host.state() is None, f"it does not go on: {host.errors}")
    (host.folder / "patched").unlink()
    refuses(host, 0, argv=("--date_constraint", tomorrow))
    host.write("patched", "")
    goes_on(host)


@night(*DIALECTS)
def what_is_planted_in_place_of_its_files_is_refused_and_left_alone(host):
    """State, record, log, local lock, mark: links, strangers' files, files that others write, FIFOs, directories."""
    failed(host)
    for name in ("lib/state", "lib/state.run", "log/run.log", host.local_lock, f"{host.local_lock}.worker"):
        path = host.folder / name
        (host.folder / "victim").write_text("update\n")
        kept = path.read_bytes() if path.exists() else None
        for what, plant in plants(host, path).items():
            path.unlink(missing_ok=True)
            plant()
            refuses_planted(host, name, what)
            check((host.folder / "victim").read_text() == "update\n", f"{name}, {what}: what the link leads to was changed")
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            if kept is not None:
                path.write_bytes(kept)
    for name in ("lib", "log"):
        (host.folder / name).chmod(0o777)
        refuses_planted(host, name, "0777")
        (host.folder / name).chmod(0o755)
    goes_on(host)


def plants(host, path):
    """What a stranger may put in place of a file."""
    def file(mode, owner=0):
        path.write_text("update\n")
        os.chown(path, owner, owner)
        path.chmod(mode)

    return {"a link": lambda: path.symlink_to(host.folder / "victim"), "a link to nothing": lambda: path.symlink_to("nowhere"),
            "0666": lambda: file(0o666), "a stranger's": lambda: file(0o644, 65534), "a FIFO": lambda: os.mkfifo(path, 0o644),
            "a directory": path.mkdir}


def refuses_planted(host, name, what):
    """Nothing runs, and the fault is named."""
    before = len(host.lines())
    code = host.run()
    check(code not in (0, 75), f"{name}, {what}: code {code}: {host.errors}")
    check(f"{host.folder}/{name}" in host.errors or f"/{name}" in host.errors, f"{name}, {what}: it says {host.errors}")
    check(len(host.lines()) == before, f"{name}, {what}: {[line.script for line in host.lines()[before:]]} ran")
