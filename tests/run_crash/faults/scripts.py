"""A script is unfit, or leaves somebody behind."""

import os
import signal
import time

from tests.hosts.wait import wait_for

from ..host import DIALECTS
from ..scenes import failed, must
from .night import check, goes_on, night, refuses


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
