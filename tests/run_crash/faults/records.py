"""What is on disk is torn, of another run, of the originals, or somebody else's."""

import os
import re
import signal

from tests.hosts.wait import wait_for

from ..host import DIALECTS
from ..scenes import failed, must
from .night import check, goes_on, night, refuses


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
